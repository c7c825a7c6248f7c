"""A page as one self-contained HTML file.

Every text is escaped; the data of the cases are packed ASCII; a content-security policy forbids
any request, and any script but the page's own, which it names by hash.
"""
