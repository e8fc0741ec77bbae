"""What a GPU's counters say of the kernel: counters.py [TEXT]. Writes rows to results/kernel_profile.csv, from Nsight Compute (`ncu`) or from what it printed."""
import re,subprocess,sys
from pathlib import Path

CASES = [(shape,dtype,layout) for shape in ((96,16,14),(192,32,14),(128,32,7)) for dtype,layout in (('float32','contiguous'),('bfloat16','contiguous'),('bfloat16','channels_last'))]
BATCH,SECTIONS = 1024,('SpeedOfLight','Occupancy','WarpStateStats','LaunchStats')
METRICS = dict(us='Duration', dram_pct='DRAM Throughput', l2_pct='L2 Cache Throughput', l1_pct='L1/TEX Cache Throughput', sm_pct='Compute (SM) Throughput', registers='Registers Per Thread',
               shared_KB='Dynamic Shared Memory Per Block', blocks='Grid Size', occupancy_pct='Achieved Occupancy', stall_cycles='Warp Cycles Per Issued Instruction')
COMMAND = ['ncu', '--clock-control', 'none', *(a for s in SECTIONS for a in ('--section', s)), '-k', 'regex:^(forward|backward)_', sys.executable, '-W', 'ignore', __file__, '--run']

def run():
    "Each case forward and backward, once"
    import torch
    from hadaptive_nbdev.lab.roofline import Expansion,roofline_fns
    for shape,dtype,layout in CASES:
        fns,_ = roofline_fns(Expansion(*shape, BATCH, dtype, layout, device='cuda'))
        for way in ('forward','backward'): fns[way]()
        torch.cuda.synchronize()

def rows_of(text):
    "A dict per kernel that was profiled"
    parts = re.split(r'\n  (?=(?:forward|backward)_\w+ \()', text)[1:]
    if len(parts)!=2*len(CASES): raise SystemExit(f'{len(parts)} kernels in what ncu printed: must be {2*len(CASES)}\n{text[-2000:]}')
    for (shape,dtype,layout),part in zip((c for c in CASES for _ in range(2)), parts):
        value = lambda name: float(re.search(re.escape(name)+r'\s+(?:\S+\s+)?([\d,.]+)\s*\n', part)[1].replace(',', ''))
        waits = re.search(r'spends ([\d.]+) cycles being stalled waiting for a scoreboard dependency on a L1TEX', re.sub(r'\s+', ' ', part))
        yield dict(kernel=part.split(' ')[0], **dict(zip(('chs','k','side'), shape)), batch=BATCH, dtype=dtype, layout=layout, **{k: value(n) for k,n in METRICS.items()}, memory_stall_cycles=float(waits[1]) if waits else '')

if __name__=='__main__':
    if sys.argv[1:]==['--run']: run(); sys.exit()
    from hadaptive_nbdev.lab.bench import MEASURED
    from hadaptive_nbdev.records import Rows,stamp
    from hadaptive_nbdev.lab.timing import code_key
    told,source = stamp('cuda'),code_key(*MEASURED['kernel'])
    rows = Rows(Path(__file__).parents[1]/'results/kernel_profile.csv', ['source','device'])
    if rows.done(source=source, device=told['device']): sys.exit()
    text = Path(sys.argv[1]).read_text() if sys.argv[1:] else subprocess.run(COMMAND, capture_output=True, text=True).stdout
    rows.add([dict(source=source, **r, **told) for r in rows_of(text)])
