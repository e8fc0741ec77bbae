"""All that only a GPU can show, in the order of its worth: gpu.py [MINUTES] [--quick] [--no-studies].

First what is right or wrong, side by side, while kernels and networks are compiled; then the timings, one after the other; then trainings. Each step is a
command of the package (or of the toolkit) with a time of its own; its rows are in results/ as soon as they are measured, and the same command goes on where
an earlier one stopped. A step that fails or takes too long is named and left out. With --quick the same steps on a CPU, small, into a folder of their own:
a rehearsal. Needs the package with '.[dev]' installed; the studies, the images of their budget in the folder of that name.
"""
import os,shutil,subprocess,sys,tempfile,time
from pathlib import Path

root,options = Path(__file__).resolve().parents[1],{a for a in sys.argv[1:] if a.startswith('--')}
if bad := options-{'--quick','--no-studies'}: sys.exit(f'{min(bad)}: must be --quick or --no-studies')
quick = '--quick' in options
minutes = next((float(a) for a in sys.argv[1:] if a not in options), 28)
out,aside = Path(tempfile.mkdtemp() if quick else 'results'),tempfile.mkdtemp()  # every step runs in the root; aside: rows that only warm caches
CASES = '''
from hadaptive_nbdev.kernels.expand import run_backward,run_forward
from hadaptive_nbdev.kernels.launch import cuda_device,run_cuda
from hadaptive_nbdev.lab.kernel_checks import assert_right,kernel_case,kernel_errors
seen = set()
for seed in range(400):  # those that run a kernel, whole or in tiles, which none before them has run
    case = opts,args,g = kernel_case(seed)
    fresh,cov = set(),'free' if opts['norm']=='none' else opts['norm']
    def note(plan, args): fresh.add((plan.kernel, plan.tiles>1))
    new = [t if t is None else t.clone() for t in args]  # as they lie on the GPU
    run_forward(note, *new, 1e-5, cov, device=cuda_device(0))
    run_backward(note, g.clone(), *new, 1e-5, cov, False, device=cuda_device(0))
    if fresh <= seen: continue
    assert_right(kernel_errors(run_cuda, case, 'cuda', cuda_device(0))[0], case[0])
    seen |= fresh
'''
KERNELS = '''
import sys
from hadaptive_nbdev.kernels import launch,source
for name in source.KERNELS[int(sys.argv[1])::int(sys.argv[2])]: launch._cuda_kernel(name, 0)
'''
COMPILED = '''
import sys,torch
from hadaptive_nbdev.lab import roofline
for case,training in list(roofline._module_cases(False))[int(sys.argv[1])::int(sys.argv[2])]:
    torch._dynamo.reset()
    e = roofline.Expansion(**case, device='cuda')
    e.call(torch.compile(e.eager, dynamic=False), training)()
'''
CELLS = '''
import ast,json,sys
cells = json.load(open(f'nbs/{sys.argv[1]}.ipynb'))['cells']
names,ran = dict(__name__='__main__'),0
for source in (''.join(c['source']) for c in cells if c['cell_type']=='code'):
    needs_gpu = '#| cuda' in source.splitlines()
    if not needs_gpu and '#| export' not in source:  # of the others, what the former may use
        try: body = ast.parse(source).body
        except SyntaxError: continue
        source = ast.unparse([n for n in body if isinstance(n, (ast.Import,ast.ImportFrom,ast.FunctionDef,ast.ClassDef))])
    exec(compile(source, sys.argv[1], 'exec'), names)
    ran += needs_gpu
print(f'{sys.argv[1]}: {ran} cells that need a GPU')
'''
CODE = {CASES: 'cases', KERNELS: 'kernels', COMPILED: 'compiled modules', CELLS: "a GPU's cells of"}

def bench(what, parts, *names, to=out): return [sys.executable, '-m', 'hadaptive_nbdev.lab.bench', what, *names, '--parts', parts, '--out', str(to), *(['--device','cpu','--quick','--eager'] if quick else ['--device','cuda'])]
def study(name): return [sys.executable, '-m', 'hadaptive_nbdev.lab.study', name, '--budget', 'smoke' if quick else 'gpu', '--out', str(out), '--work', str(out/'work') if quick else 'hadaptive_runs/studies', '--jobs', '1' if quick else str(os.cpu_count())]
def sanitizer(tool): return ['compute-sanitizer', '--tool', tool, '--error-exitcode', '1', sys.executable, '-c', CASES]
def cells(chapters): return [[sys.executable, '-c', CELLS, c] for c in chapters]
def shares(code, n): return [[sys.executable, '-c', code, str(i), str(n)] for i in range(n)]

many,NETWORKS = min(os.cpu_count(), 12),('hadaptive_net_s','hadaptive_net_m','hadaptive_net_l','mobilenetv3_s')
STEPS = [  # minutes at most; commands, side by side
    *[(2, shares(KERNELS, many))]*(not quick),
    (3, [bench('kernel', 'check'), *cells([] if quick else ['5_reference/09_kernel_checks','3_speed/02_timing','3_speed/03_roofline','5_reference/05_resume']), sanitizer('memcheck'), sanitizer('racecheck'),
         *([] if quick else [*shares(COMPILED, many), *(bench('latency', 'compile', n, to=aside) for n in NETWORKS)])]),
    (3, [bench('kernel', 'modules')]),
    (2, [bench('kernel', 'networks')]),
    (2, [bench('kernel', 'roofline')]),
    *[(1, [[sys.executable, '.ci/counters.py']])]*(not quick and bool(shutil.which('ncu'))),
    (5, [bench('latency', 'eager' if quick else 'compile,graph', *(NETWORKS[-1:] if quick else NETWORKS))]),
    (2, [bench('training', 'pipeline')]),
    *((9, [study(s)]) for s in ('table3','exchange','table5','table1','table2','table4','dysoft')[:1 if quick else None] if '--no-studies' not in options)]

def name_of(command): return ' '.join(CODE.get(a, a) for a in command).replace(sys.executable, 'python')
def keep(command, passed):
    "A row for a check that writes none itself"
    from hadaptive_nbdev.records import Rows,stamp
    if command[0]=='compute-sanitizer' or CELLS in command: Rows(root/out/'gpu_checks.csv', ['check','device','commit']).add([dict(check=name_of(command), **stamp('cpu' if quick else 'cuda'), passed=passed)])

start,failed,running,mps = time.time(),[],[],False
os.environ['PATH'] = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
try:
    for limit,commands in STEPS:
        if 'hadaptive_nbdev.lab.study' in commands[0] and not mps and shutil.which('nvidia-cuda-mps-control'):  # share the GPU, not its time
            mps = not subprocess.run(['nvidia-cuda-mps-control','-d']).returncode
        stop,running = min(time.time()+60*limit, start+60*minutes),[]
        for command in commands:
            if stop-time.time()<20: failed.append(f'no time left: {name_of(command)}')
            elif not shutil.which(command[0]): failed.append(f'{command[0]} is not there: {name_of(command)}')
            else:
                print(f'== {(time.time()-start)/60:.1f} min: {name_of(command)}', flush=True)
                running.append((command, subprocess.Popen(command, cwd=root, start_new_session=True)))
        for command,p in running:
            try: code = p.wait(max(stop-time.time(), .1))
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, 9)
                keep(command, False)
                failed.append(f'took more than its time: {name_of(command)}')
            else:
                keep(command, not code)
                failed += [f'failed ({code}): {name_of(command)}']*bool(code)
finally:  # whatever happens, nothing is left on the GPU
    for _,p in running:
        if p.poll() is None: os.killpg(p.pid, 9)
    if mps: subprocess.run(['nvidia-cuda-mps-control'], input='quit\n', text=True)
n = sum(len(commands) for _,commands in STEPS)
print(f'{n-len(failed)} of {n} steps came to their end in {(time.time()-start)/60:.1f} minutes', *failed, sep='\n')
sys.exit(bool(failed))
