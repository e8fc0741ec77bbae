"""All that only a GPU can show, in the order of its worth: gpu.py [MINUTES] [--quick].

Each step is a command of the package (or of the toolkit) with a time of its own; its rows are in results/ as soon as they are measured, and the same
command goes on where an earlier one stopped. A step that fails or takes too long is named and left out. With --quick the same steps on a CPU, small, into
a folder of their own: a rehearsal. Needs the package with '.[dev]' installed; the studies, the images of their budget in the folder of that name.
"""
import os,shutil,subprocess,sys,tempfile,time
from pathlib import Path

root,quick = Path(__file__).resolve().parents[1],'--quick' in sys.argv
minutes = next((float(a) for a in sys.argv[1:] if a!='--quick'), 28)
out = Path(tempfile.mkdtemp() if quick else root/'results')
CASES = '''
from hadaptive_nbdev.kernel import *
for seed in range(12):
    case = kernel_case(seed)
    assert_right(kernel_errors(run_cuda, case, 'cuda', cuda_device(0))[0], case[0])
'''

def bench(what, parts, *names): return ['hadaptive_bench', what, *names, '--parts', parts, '--out', str(out), *(['--device','cpu','--quick','--eager'] if quick else ['--device','cuda'])]
def study(name): return ['hadaptive_study', name, '--budget', 'smoke' if quick else 'gpu', '--out', str(out), '--work', str(out/'work' if quick else root/'hadaptive_runs/studies'), '--jobs', '1' if quick else '8']
def sanitizer(tool): return ['compute-sanitizer', '--tool', tool, '--error-exitcode', '1', sys.executable, '-c', CASES]

NETWORKS = 'hadaptive_net_s','hadaptive_net_m','hadaptive_net_l','mobilenetv3_s'
STEPS = [  # minutes at most, command
    (4, bench('kernel', 'check')),
    (4, ['nbdev_test', '--path', 'nbs/10_kernel.ipynb', '--do_print', *([] if quick else ['--flags','cuda'])]),
    (2, sanitizer('memcheck')), (2, sanitizer('racecheck')),
    (5, bench('kernel', 'networks')),
    (5, bench('kernel', 'roofline')),
    (6, bench('kernel', 'modules')),
    (4, bench('latency', 'eager' if quick else 'graph', *(NETWORKS[-1:] if quick else NETWORKS))),
    (4, bench('training', 'pipeline,side')),
    *((9, study(s)) for s in ('table3','exchange','table5','table1','table2','table4','dysoft')[:1 if quick else None])]

start,failed = time.time(),[]
os.environ['PATH'] = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
for limit,command in STEPS:
    left,name = 60*minutes-(time.time()-start),' '.join(command).replace(CASES, '…')
    if left<30: failed.append(f'no time left: {name}')
    elif not shutil.which(command[0]): failed.append(f'{command[0]} is not there: {name}')
    else:
        print(f'== {(time.time()-start)/60:.1f} min: {name}', flush=True)
        try: code = subprocess.run(command, cwd=root, timeout=min(60*limit, left)).returncode
        except subprocess.TimeoutExpired: failed.append(f'took more than {min(limit, left/60):.0f} minutes: {name}')
        else: failed += [f'failed ({code}): {name}']*bool(code)
print(f'{len(STEPS)-len(failed)} of {len(STEPS)} steps came to their end in {(time.time()-start)/60:.1f} minutes', *failed, sep='\n')
sys.exit(bool(failed))
