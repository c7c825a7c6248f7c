"""How answers are written: spelling, literal numbers, units."""
