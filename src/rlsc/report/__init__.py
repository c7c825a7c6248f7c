"""What a run's folder says, for a reader: a page of blocks, and three renderers of it."""

from typing import TYPE_CHECKING

from rlsc.runtime.lazy import lazy_face

if TYPE_CHECKING:
    from rlsc.report.files import watch, write_html, write_html_of_several, write_report
    from rlsc.report.markdown import to_markdown
    from rlsc.report.page import Block, Bullets, Heading, Page, Paragraph, Table
    from rlsc.report.sections.provenance import code_rows
    from rlsc.report.sections.steps import guard_text
    from rlsc.report.sections.training import headline, results_blocks
    from rlsc.report.terminal_summary import print_results

__getattr__ = lazy_face(__name__)
