"""Is an answer equal to another?"""
