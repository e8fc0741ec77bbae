"""Run notebooks from top to bottom, then bring the package, the notebooks' metadata and README in step.

    python .ci/chapter.py nbs/3_speed/02_timing.ipynb    run it, store its outputs, then all below
    python .ci/chapter.py                        export, clean, README
    python .ci/chapter.py --check                the same; exit 1 and say which files were out of step

Cells with `#| cuda`, `#| slow` or `#| notest` are not run and keep their outputs. A notebook is not stored if it has warnings, absolute paths, or a cell that has lost its figure."""
import os,re,subprocess,sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

root = Path(__file__).resolve().parents[1]
LEFT_OUT = re.compile(r'^#\| *(cuda|slow|notest)\b', re.M)
PRIVATE = re.compile(rf'(?<![\w./])(?:{re.escape(str(root))}|/tmp/|/home/|/Users/|/root/)')

def has_figure(cell): return any('image/png' in o.get('data', {}) for o in cell.outputs)

def faults(cell, before):
    "What must not be stored"
    text = '\n'.join(''.join(o.get('text', '')) or str(o.get('data', {}).get('text/plain', '')) for o in cell.outputs)
    if warned := [o.text for o in cell.outputs if o.get('name')=='stderr']: yield f'prints to stderr: {warned[0].strip()[:200]}'
    if found := PRIVATE.search(text): yield f'shows the path {text[found.start():][:80]!r}'
    if has_figure(before) and not has_figure(cell): yield 'has lost its figure'

def run(path):
    "Run a notebook and store it; [] or what is wrong with it"
    before,nb = nbformat.read(path, 4),nbformat.read(path, 4)
    cells = [(c,old) for c,old in zip(nb.cells, before.cells) if c.cell_type=='code']
    for c,_ in cells:
        if LEFT_OUT.search(c.source): c.source = ''
    NotebookClient(nb, timeout=1200, kernel_name='python3', resources=dict(metadata=dict(path=path.parent))).execute()
    for c,old in cells:
        if LEFT_OUT.search(old.source): c.source,c.outputs,c.execution_count = old.source,old.outputs,old.execution_count
    wrong = [f'{path.name}, the cell that begins with {c.source.strip().splitlines()[0][:60]!r}: {f}' for c,old in cells for f in faults(c, old)]
    if not wrong: nbformat.write(nb, path)
    return wrong

def state():
    "The content of all files that are made from others"
    files = [*root.glob('nbs/**/*.ipynb'),*root.glob('hadaptive_nbdev/**/*.py'),root/'README.md']
    return {f.relative_to(root): f.read_bytes() for f in files if f.exists()}

def bring_in_step():
    "Export, clean, README; the files that this has changed"
    before,bin = state(),Path(sys.executable).parent
    for command in ('nbdev_export','nbdev_clean'): subprocess.run([bin/command], cwd=root, check=True)
    text = subprocess.run([sys.executable,root/'.ci/readme.py'], check=True, capture_output=True, text=True).stdout
    if text!=(root/'README.md').read_text(encoding='utf-8'): (root/'README.md').write_text(text, encoding='utf-8')
    after = state()
    return sorted(str(f) for f in before.keys() | after.keys() if before.get(f)!=after.get(f))

if __name__=='__main__':
    check,notebooks = '--check' in sys.argv[1:],[Path(a).resolve() for a in sys.argv[1:] if a!='--check']
    os.environ.pop('MPLBACKEND', None)  # `agg` would drop the figures
    os.environ['CUDA_VISIBLE_DEVICES'] = os.environ.get('CUDA_VISIBLE_DEVICES', '')
    wrong = [w for nb in notebooks for w in run(nb)]
    for w in wrong: print('not stored:', w)
    changed = bring_in_step()
    for f in changed: print('was out of step:' if check else 'written:', f)
    sys.exit(bool(wrong or check and changed))
