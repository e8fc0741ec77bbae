"""The code blocks of README and guide, one after the other, as a reader would paste them: snippets.py FOLDER runs them in FOLDER, which holds the result of the first command.

The image folder that they name is made there, of digits. Left out: README's two commands, which .ci/run has run, and what needs several GPUs.
"""
import json,os,re,subprocess,sys,time
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

root,folder = Path(__file__).parents[1].resolve(),Path(sys.argv[1]).resolve()
digits = load_digits()
for part,(first,last) in dict(train=(0,24), test=(24,28)).items():
    for c in '037':
        for k,i in enumerate(np.flatnonzero(digits.target==int(c))[first:last]):
            f = folder/'path/to/images'/part/c/f'{k}.png'
            f.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((digits.images[i]*15).astype('uint8')).resize((64,64)).save(f)
for k in range(2): (folder/f'{k}.png').write_bytes((folder/f'path/to/images/test/3/{k}.png').read_bytes())

def fenced(text): return re.findall(r'^```(python|sh)\n(.*?)^```', text, re.M|re.S)

def guide():
    "The guide's visible code cells, and the blocks in its text"
    for c in json.loads((root/'nbs/guide.ipynb').read_text(encoding='utf-8'))['cells']:
        text = ''.join(c['source'])+'\n'
        if c['cell_type']=='markdown': yield from fenced(text)
        elif not text.startswith('#| hide'): yield 'python',text

os.chdir(folder)
sys.path.insert(0, '')
names,failed,ran = dict(__name__='__main__', display=print),0,0
for lang,code in [*fenced((root/'README.md').read_text(encoding='utf-8')),*guide()]:
    if code.startswith('python3 -m venv') or '--multi_gpu' in code: continue
    start,ran = time.time(),ran+1
    try:
        if lang=='python': exec(compile(code, 'README or guide', 'exec'), names)
        else: subprocess.run(code, shell=True, check=True, executable='/bin/bash')
    except BaseException as e:
        failed += 1
        print(f'{type(e).__name__}: {e}\nin README or guide:\n{code}')
    else: print(f'{time.time()-start:5.1f} s  {code.splitlines()[-1]}', flush=True)
print(f'{ran} code blocks, {failed} failed')
sys.exit(bool(failed))
