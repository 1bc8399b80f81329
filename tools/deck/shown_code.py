"""The code that a slide shows."""

import ast

BOOKS = ("claims", "facts")  # the names under which lessons collect the rows of their last table


def without_proofs(source: str) -> str:
    """The code of a cell without its `assert` statements and what it writes into its BOOKS.

    They prove the page, and on a slide tell what is yet to be seen. A block of nothing else stays, and so does a
    statement that shares its line.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a line of IPython's
        return source
    lines, proofs = source.splitlines(), set()
    for parent in ast.walk(tree):
        for block in filter(lambda block: isinstance(block, list), vars(parent).values()):
            found = [each for each in block if isinstance(each, ast.stmt) and _proves(each)]
            if len(found) < len(block) or parent is tree:
                proofs.update(*(range(each.lineno - 1, each.end_lineno) for each in found if _alone(each, lines)))
    return "\n".join(line for place, line in enumerate(lines) if place not in proofs).strip("\n")


def _proves(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(ast.Call(ast.Attribute(ast.Name(book)))):
            return book in BOOKS
    return isinstance(statement, ast.Assert)


def _alone(statement: ast.stmt, lines: list[str]) -> bool:
    """Whether nothing but a comment shares the statement's lines."""
    before = lines[statement.lineno - 1].encode()[: statement.col_offset]  # ast counts bytes
    after = lines[statement.end_lineno - 1].encode()[statement.end_col_offset :].strip()
    return not before.strip() and (not after or after.startswith(b"#"))
