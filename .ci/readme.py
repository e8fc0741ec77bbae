"README.md from nbs/index.ipynb: `readme.py` prints it. nbdev_readme does this through Quarto; this needs only nbconvert"
import re
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

root = Path(__file__).parents[1]
nb = nbformat.read(root/'nbs/index.ipynb', 4)
nb.metadata.language_info = dict(name='python')
nb.cells = [c for c in nb.cells if not c.source.startswith('#| hide\n')]
for c in nb.cells:
    if c.source.startswith('#| echo: false\n'): c.metadata.transient = dict(remove_source=True)
for c in nb.cells:  # a table is plain HTML for README's readers, without nbconvert's style sheet
    for o in c.get('outputs', []):
        if 'text/html' in o.get('data', {}): o.data['text/html'] = re.sub(r'<style.*?</style>\n?', '', o.data['text/html'], flags=re.S)
nb.cells = [c for c in nb.cells if not c.source.startswith('::: {.content-visible when-format="html"}')]  # for the site alone
md = MarkdownExporter().from_notebook_node(nb)[0]
md = re.sub(r'(?m)^:::.*\n', '', md)
md = re.sub(r'\]\((images/|[\w/]+\.ipynb)', r'](nbs/\1', md)
md = re.sub(r'!\[[^]]*\]\(([^)]*)\)\{fig-alt="([^"]*)"\}', r'![\2](\1)', md)  # without Quarto's attributes
print('<!-- Generated from nbs/index.ipynb; edit that. -->\n\n' + re.sub(r'\n{3,}', '\n\n', md).strip())
