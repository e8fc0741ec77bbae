"""The package where users have it, without nbdev: one behaviour of each module, compared with brute force, and every command.

user.py [WEIGHTS] with the environment's Python; WEIGHTS are what the first command trained. `user.py lab` checks the laboratory, which only a clone
has, with the clone in PYTHONPATH. Prints a line for each check. Each is a
function of the module's or command's name; a module without one has failed."""
import copy,importlib,importlib.metadata,importlib.util,itertools,math,os,pkgutil,subprocess,sys,tempfile,traceback
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torchvision
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn
from torch.testing import assert_close

import hadaptive_nbdev

LAB = sys.argv[1:]==['lab']
FOUND = [m.name.removeprefix('hadaptive_nbdev.') for m in pkgutil.walk_packages(hadaptive_nbdev.__path__, 'hadaptive_nbdev.') if not m.ispkg and '._' not in m.name]
CORE = ['complexity','hadamard','sampling','norm','ach','blocks','models','pretrained','cli','records','surgery','baselines','kernels.expand','kernels.depthwise','kernels.launch','kernels.source','train.settings','deploy.onnx','deploy.predict']
globals().update({n.split('.')[-1]: importlib.import_module(f'hadaptive_nbdev.{n}') for n in FOUND})
NAMES = [n.split('.')[-1] for n in FOUND if n.startswith('lab.')==LAB]

def products_of(z): return torch.stack([z[:,i]*z[:,j] for i,j in itertools.combinations(range(z.shape[1]), 2)], 1)

def net(**kwargs): return models.hadaptive_net_s(num_classes=3, **kwargs).eval()

def images(folder, n=12, size=32):
    "Class folders of images that one colour tells apart"
    for (c,value),k in itertools.product(dict(dark=60, light=190).items(), range(n)):
        pixels = np.random.default_rng(k).integers(value-50, value+50, (size,size,3), dtype=np.uint8)
        (folder/c).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder/c/f'{k}.png')
    return folder

def by_hand(model, files, size):
    "Probabilities, from Pillow and NumPy"
    mean,std = (.485,.456,.406),(.229,.224,.225)
    pixels = [np.array(Image.open(f).convert('RGB').resize((size,size), Image.Resampling.BILINEAR)) for f in files]
    x = torch.tensor((np.array(pixels)/255-mean)/std, dtype=torch.float32).permute(0, 3, 1, 2)
    with torch.no_grad(): return model(x).softmax(1).numpy()

def command(line, cwd):
    "Start a command of the package, as a user would"
    name,*args = line.split()
    start = [sys.executable,'-m',name] if '.' in name else [Path(sys.executable).with_name(name)]
    env = {k: v for k,v in os.environ.items() if LAB or k!='PYTHONPATH'}
    return subprocess.Popen([*start,*args], cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

def output(line, cwd, fails=False):
    "What a command prints, or its last words where it must fail"
    out,err = (p := command(line, cwd)).communicate()
    assert (p.returncode!=0)==fails, f'{line}: exit status {p.returncode}, {err}'
    return err if fails else out

def image_dls(folder): return data.get_dls(images(folder), size=32, bs=8, valid_pct=.25, device='cpu', num_workers=0)

class Modules:
    def complexity(tmp):
        net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Flatten(), nn.Linear(8*5*5, 7))
        assert complexity.cost(net, (3,10,10)).macs == 8*5*5*3*9 + 8*5*5*7

    def hadamard(tmp):
        z = torch.randn(2, 5, 3, 4)
        assert_close(hadamard.pair_products(z), products_of(z))

    def sampling(tmp):
        scores = torch.randn(6, 9)
        mask,idx = sampling.gumbel_topk(scores, 4, noise=0.)
        best = [sorted(range(9), key=lambda c: -row[c])[:4] for row in scores.tolist()]
        assert idx.tolist()==best
        assert_close(mask, torch.tensor([[float(c in row) for c in range(9)] for row in best]))

    def norm(tmp):
        m,v,r = torch.tensor([.5,-1.]),torch.tensor([2.,.7]),.4
        a,b = torch.randn(2, 2_000_000, dtype=torch.float64)
        i,j = m[0]+v[0].sqrt()*a, m[1]+v[1].sqrt()*(r*a+(1-r*r)**.5*b)
        mean,var = norm.product_moments(m[0], m[1], v[0], v[1], r*(v[0]*v[1]).sqrt())
        assert abs((i*j).mean()-mean) < .02 and abs((i*j).var()/var-1) < .02

    def ach(tmp):
        m = ach.ACH(6, 3, norm=None).eval()
        feats = m.bn(m.conv(x := torch.randn(2, 6, 4, 4)))
        rows = [f[sorted(range(6), key=lambda c: -s[c])[:3]] for f,s in zip(feats, m.chooser.scorer(feats).tolist())]
        assert_close(m(x), torch.cat([feats, products_of(torch.stack(rows))], 1))

    def blocks(tmp):
        m = blocks.GhostModule(4, 6).eval()
        half = m.primary(x := torch.randn(2, 4, 5, 5))
        w,padded = m.cheap[0].weight,torch.nn.functional.pad(half, (1,1,1,1))
        cheap = sum(w[:,0,i,j,None,None]*padded[:,:,i:i+5,j:j+5] for i in range(3) for j in range(3))
        assert_close(m(x), torch.cat([half, m.cheap[1](cheap)], 1))

    def models(tmp):
        a,x = net(expand=dict(order='channel')),torch.randn(2, 3, 64, 64)
        path = models.save_weights(a, tmp/'s.safetensors', arch='hadaptive_net_s', options=dict(order='channel'), classes=['a','b','c'])
        b,meta = models.load_model(path)
        assert_close(b(x), a(x), rtol=0, atol=0)
        assert meta['classes']==['a','b','c']

    def records(tmp):
        rows = records.Rows(tmp/'rows.csv', ['name'])
        rows.add([dict(name='a', value=1)]); rows.add([dict(name='b', value=2)])
        assert rows.done(name='b') and not rows.done(name='c')
        before = rows.path.read_bytes()
        def broken(path): path.write_text('half'); raise OSError('full')
        try: records.write_whole(rows.path, broken)
        except OSError: pass
        assert rows.path.read_bytes()==before and pd.read_csv(rows.path).value.tolist()==[1,2]

    def cli(tmp):
        script = str(Path(sys.executable).with_name('hadaptive_train'))
        code = (f'import runpy,sys; sys.argv = [{script!r},"--help"]\n'
            'try: runpy.run_path(sys.argv[0], run_name="__main__")\nfinally: print({"torch","fastai","timm"}&set(sys.modules))')
        p = subprocess.run([sys.executable,'-c',code], cwd=tmp, capture_output=True, text=True, timeout=60)
        lines = p.stdout.splitlines()
        assert lines and lines[0].startswith('usage: hadaptive_train') and lines[-1]=='set()', (lines,p.stderr)

    def settings(tmp):
        good,bad = dict(source='digits', epochs=3, lr=1e-3, norm='affine'),dict(source=str(tmp/'none'), epochs=0, lr=-1., norm='none?')
        for wrong in (n for k in range(5) for n in itertools.combinations(good, k)):  # right only if all are
            try: accepted = bool(settings.HadaptiveSettings(**good | {k: bad[k] for k in wrong}))
            except (ValueError,OSError) as e:
                accepted = False
                assert any(f'{k}={bad[k]!r}' in str(e) for k in wrong), e
            assert accepted==(not wrong), wrong

    def data(tmp):
        dls = image_dls(tmp)
        parts = [set(dl.items) for dl in (dls.train, dls.valid)]
        assert not parts[0]&parts[1] and parts[0]|parts[1]==set(tmp.rglob('*.png'))
        assert all(dls.vocab[y]==f.parent.name for dl in dls for f,(x,y) in zip(dl.items, dl.dataset))

    def memory(tmp):
        dls = memory.in_memory(image_dls(tmp))
        expected = {np.array(Image.open(f)).tobytes(): f.parent.name for f in tmp.rglob('*.png')}
        got = {t.permute(1, 2, 0).numpy().tobytes(): dls.vocab[y] for dl in (dls.train, dls.valid) for t,y in zip(dl.images, dl.labels)}
        assert got==expected

    def depthwise(tmp):
        for size in (1,2,4,7):  # a map for each of the ways
            x,w = torch.randn(3, 6, size, size, dtype=torch.float64),torch.randn(6, 1, 5, 5, dtype=torch.float64, requires_grad=True)
            y = depthwise.depthwise_conv2d(x, w, padding=2)
            g = torch.randn_like(y)
            padded = nn.functional.pad(x, (2,2,2,2))
            taps = [(padded[:,:,i:i+size,j:j+size]*g).sum((0,2,3)) for i,j in itertools.product(range(5), repeat=2)]
            assert_close(torch.autograd.grad(y, w, g)[0], torch.stack(taps, 1).view_as(w))

    def learner(tmp):
        f = learner.warmup_cosine(.3, .2)
        for t in (0.,.05,.2,.6,.99):
            by_hand = .003+(.3-.003)*t/.2 if t<.2 else .3*(1+math.cos(math.pi*(t-.2)/.8))/2
            assert abs(f(t)-by_hand) < 1e-6, t

    def expand(tmp):
        x,idx = torch.randn(2, 6, 3, 3),torch.tensor([[4,0,2],[1,5,3]])
        z = torch.stack([f[i] for f,i in zip(x, idx)])
        assert_close(expand.expand(x, idx), torch.cat([x, products_of(z)], 1))

    def source(tmp):
        text = source.kernel_code('forward_float32_4')
        assert 'extern "C" __global__ void' in text and text.count('{')==text.count('}')

    def launch(tmp):
        plan = launch.plan_forward(64, 96, 16, 196)
        assert plan.blocks==64*plan.tiles*plan.splits and plan.tiles*plan.pixels>=196 > (plan.tiles-1)*plan.pixels

    def baselines(tmp):
        n = sum(p.numel() for p in torchvision.models.resnet18(num_classes=7).parameters())
        assert abs(baselines.cost_table('resnet18', 7).loc['resnet18','parameters']*1e6-n) < .5

    def surgery(tmp):
        net = torchvision.models.mobilenet_v3_small(num_classes=5).eval()
        before = {k: v.clone() for k,v in net.state_dict().items()}
        names = surgery.replace_blocks(net, 2).index
        after = net.state_dict()
        assert len(names)==2 and net(torch.randn(2, 3, 64, 64)).shape==(2,5)
        for k,v in before.items():
            if not k.startswith(tuple(n+'.' for n in names)): assert_close(after[k], v, rtol=0, atol=0)

    def onnx(tmp):
        a,x = net(),torch.randn(2, 3, 64, 64)
        for m in a.modules():
            if isinstance(m, nn.BatchNorm2d): m.running_mean.normal_(0, .1); m.running_var.uniform_(.5, 2)
        assert_close(onnx.inference_form(a)(x), a(x), rtol=1e-3, atol=1e-4)

    def predict(tmp):
        path = models.save_weights(a := net(), tmp/'s.safetensors', arch='hadaptive_net_s', classes=['a','b','c'], size=32)
        files = [images(tmp, n=1, size=40)/c/'0.png' for c in ('dark','light')]
        table = predict.Predictor(path).predict(files, top=3)
        for f,row in zip(files, by_hand(a, files, 32)):
            got = table[table.image==str(f)]
            assert got['class'].tolist()==sorted('abc', key=lambda c: -row['abc'.index(c)])
            assert np.allclose(got.probability, sorted(row, reverse=True), atol=1e-5)

    def resume(tmp):
        dls,net = memory.in_memory(image_dls(tmp)),models.hadaptive_net_s(num_classes=2)
        def run(path, epochs):
            learn = learner.hadaptive_learner(dls, copy.deepcopy(net))
            with learn.no_bar(),learn.no_logging(): learn.fit_resumable(epochs, path, seed=1, lr=1e-3)
            return learn.model.state_dict()
        expected = run(tmp/'whole.pt', 2)
        run(tmp/'part.pt', 1)
        for k,v in run(tmp/'part.pt', 2).items(): assert_close(v, expected[k], rtol=0, atol=0, equal_nan=True)

    def parallel(tmp):
        x = torch.tensor([1.,2.])
        assert parallel.main_process_first(lambda: parallel.sum_ranks(x)).tolist()==[1.,2.]  # one process

    def runs(tmp):
        made = settings.HadaptiveSettings(source=str(images(tmp)), size=32, epochs=1, bs=8, valid=.25)
        runs.train_source(made, tmp/'out')
        found = runs.read_run(tmp/'out')
        assert (found['train_images'],found['valid_images'],found['test_images'])==(18,6,0)
        assert sorted(f.name for f in (tmp/'out').iterdir())==sorted(runs.RUN_FILES[:4])
        assert len(pd.read_csv(tmp/'out/epochs.csv'))==1

    def classifier(tmp):
        clf = classifier.ImageClassifier(epochs=1, size=32, bs=8).fit(images(tmp))
        files = sorted(tmp.rglob('*.png'))
        p = clf.predict_proba(files)
        assert np.allclose(p.sum(1), 1, atol=1e-5) and list(clf.predict(files))==[clf.classes_[row.argmax()] for row in p]

    def pretrained(tmp):
        for name,run in pretrained.trained().items():  # installed with the package: nothing is downloaded
            path = pretrained.weights_file(name, url='nowhere:')
            model,meta = models.load_model(path)
            assert path.parent==pretrained.FOLDER and len(meta['classes'])==run['classes'] and not model.training
        try: pretrained.weights_file('no-such')
        except ValueError as e: assert 'must be one of' in str(e)

def digits_run(folder):
    "The weights that were given, or untrained ones; ten images of digits"
    path = Path(sys.argv[1]).resolve() if len(sys.argv)>1 else models.save_weights(models.hadaptive_net_s(num_classes=10), folder/'w.safetensors',
        arch='hadaptive_net_s', classes=list('0123456789'), size=32)
    files = [folder/f'{i}.png' for i in range(10)]
    for f,image in zip(files, load_digits().images): Image.fromarray(np.round(image*(255/16)).astype('uint8')).save(f)
    return path,files

def says_the_same(tmp, path, weights, files, tol):
    "hadaptive_predict, compared with `by_hand`"
    text = output(f'hadaptive_predict {path} {" ".join(f.name for f in files)} --top 10 --csv', tmp)
    (tmp/'out.csv').write_text(text)
    table = pd.read_csv(tmp/'out.csv').pivot(index='image', columns='class', values='probability').to_numpy()
    assert np.allclose(table, by_hand(models.load_model(weights)[0], files, 32), atol=tol)
    return table

class Commands:
    def help_and_version(tmp):
        release = f'hadaptive_nbdev {importlib.metadata.version("hadaptive_nbdev")}'
        for c in (e.name for e in importlib.metadata.distribution('hadaptive_nbdev').entry_points if e.group=='console_scripts'):
            (text,_),(version,_) = (p.communicate() for p in [command(f'{c} --help', tmp), command(f'{c} --version', tmp)])
            assert text.startswith(f'usage: {c}') and version.strip()==release, c

    def hadaptive_cost(tmp):
        n = sum(p.numel() for p in models.hadaptive_net_s(num_classes=100).parameters())
        line, = (l for l in output('hadaptive_cost resnet18 hadaptive_net_s', tmp).splitlines() if l.startswith('hadaptive_net_s'))
        assert abs(float(line.split()[1])-n/1e6) < 6e-4, line

    def hadaptive_predict(tmp):
        weights,files = digits_run(tmp)
        table = says_the_same(tmp, weights, weights, files, 1e-5)
        right = (table.argmax(1)==range(10)).sum()
        assert len(sys.argv)<2 or right>=9, f'{right} of 10 digits'

    def hadaptive_export(tmp):
        weights,files = digits_run(tmp)
        if importlib.util.find_spec('onnx'):
            output(f'hadaptive_export {weights} --out net.onnx', tmp)
            says_the_same(tmp, 'net.onnx', weights, files, 1e-4)
        else:
            line, = output(f'hadaptive_export {weights}', tmp, fails=True).splitlines()
            assert 'pip install' in line, line

class Lab:
    def timing(tmp):
        times = pd.DataFrame(dict(a=[3.,1.,2.,9.], b=[6.,1.,6.,9.]))
        table = timing.summarise(times, 'a')
        assert table['median'].tolist()==[2.5,6.] and table.ratio.tolist()==[1.,1.5]

    def roofline(tmp):
        rows = [(c,k) for stage in models.ARCHS['hadaptive_net_l']['stages'] for kind,(c,k,*_) in stage if kind=='H']
        table = roofline.ach_shapes(['hadaptive_net_l'], 64)
        assert sorted((r.chs,r.k) for r in table.itertuples() for _ in range(r.count))==sorted(rows)

    def traffic(tmp):
        assert traffic.bytes_moved(6, 3, 10)['floor']==4*10*(6 + 6+3)  # read six maps, write them and three products

    def kernel_checks(tmp):
        opts,(x,idx,*_),g = kernel_checks.kernel_case(0)
        assert idx.shape==(opts['batch'],opts['k']) and g.shape[1]==x.shape[1]+opts['k']*(opts['k']-1)//2
        kernel_checks.assert_right(dict(out=1e-9), opts)
        try: kernel_checks.assert_right(dict(out=.1), opts)
        except AssertionError: return
        raise AssertionError('a wrong result passed')

    def bench(tmp):
        def bad(b): raise ValueError('too much')
        done = []
        failed = bench.run_parts(timing.Bench(out=tmp), dict(first=bad, second=done.append))
        assert len(failed)==1 and 'too much' in failed[0] and len(done)==1

    def study(tmp):
        runs = study.plan('order', 'smoke', seeds=2)
        assert [r.seed for r in runs]==[0,0,1,1] and len({study.run_key(r) for r in runs})==4

    def judge(tmp):
        arms = list(study.STUDIES['order'])
        runs = pd.DataFrame([dict(arm=a, seed=s, test_accuracy=.5+.01*s+.02*k+.001*s*k) for s in range(3) for k,a in enumerate(arms)])
        row = judge.judge('order', runs, [(arms[1], arms[0])]).iloc[0]
        d = [100*(.02+.001*s) for s in range(3)]
        mean = sum(d)/3; sd = (sum((v-mean)**2 for v in d)/2)**.5
        assert abs(row.ours-mean)<1e-9 and abs(row.high-mean-4.302653*sd/3**.5)<1e-5  # Student's t, two degrees of freedom

    def publish(tmp):
        (tmp/'index.json').write_text('{}')
        name,run = next(iter(pretrained.trained().items()))
        about = dict(arch='hadaptive_net_s', options={}, classes=['a','b','c'], run=run)
        path = publish.publish(models.save_weights(net(), tmp/'w.safetensors', **about), 'hadaptive_net_s.new', tmp)
        assert pretrained.weights_file('hadaptive_net_s.new', tmp)==path and path.stat().st_size < .6*(tmp/'w.safetensors').stat().st_size
        p,n = run['test_accuracy'],run['test_images']
        low,high = (float(v)/100 for v in publish.card(name, run).split('(95 %: ')[1].split(')')[0].split(' … '))
        for end in (low,high): assert abs(abs(p-end)/math.sqrt(end*(1-end)/n)-1.96) < .2  # the ends are printed in tenths of a point

    def products(tmp):
        x = torch.randn(2, 6, 3, 3)
        assert_close(products.Pairs(6, 6, norm=None)(x, x), products_of(x[:,:4]))

    def positions(tmp):
        a,b = (torch.stack([torch.randperm(7)[:4] for _ in range(50)]) for _ in range(2))
        pairs = [[[set(p) for p in itertools.combinations(row, 2)] for row in s.tolist()] for s in (a, b)]
        assert positions.same_pair(a, b).tolist()==[[p==q for p,q in zip(*rows)] for rows in zip(*pairs)]

    def bench_command(tmp):
        output('hadaptive_nbdev.lab.bench latency hadaptive_net_s --device cpu --parts eager --quick', tmp)
        assert pd.concat(map(pd.read_csv, (tmp/'results').glob('*.csv')))['median'].gt(0).all()

    def study_command(tmp):
        output('hadaptive_nbdev.lab.study baseline --budget smoke', tmp)
        assert len(pd.read_csv(tmp/'results/runs.csv'))==1
        assert '1 runs, 1 done before' in output('hadaptive_nbdev.lab.study baseline --budget smoke', tmp)

class Core:
    def without_the_extras(tmp):
        code = '''
import importlib,sys
for n in ('fastai','fasttransform','pandas','matplotlib','sklearn','scipy','timm','onnx','onnxruntime'): sys.modules[n] = None
import torch
for n in CORE: importlib.import_module('hadaptive_nbdev.'+n)
from hadaptive_nbdev.models import hadaptive_net_s
print(hadaptive_net_s(num_classes=3).eval()(torch.randn(1, 3, 64, 64)).shape)
for n in ('train.learner','train.data','train.memory','train.resume','train.parallel','train.runs','deploy.classifier'):
    try: importlib.import_module('hadaptive_nbdev.'+n)
    except ImportError as e: assert str(e)=="fastai is not installed: pip install 'hadaptive_nbdev[train]'", e
    else: raise AssertionError(n)
'''.replace('CORE', repr(CORE))
        p = subprocess.run([sys.executable,'-W','ignore','-c',code], cwd=tmp, capture_output=True, text=True)
        assert p.stdout.strip()=='torch.Size([1, 3])', p.stderr

torch.manual_seed(0)
print(hadaptive_nbdev.__file__, *(f'{n} {importlib.metadata.version(n)}' for n in ('torch','fastai','fastcore')))
checks = {k: f for c in ((Lab,) if LAB else (Modules, Commands, Core)) for k,f in vars(c).items() if not k.startswith('_')}
failed = 0
for name in {**dict.fromkeys(NAMES), **checks}:
    try:
        with tempfile.TemporaryDirectory() as tmp: checks[name](Path(tmp))
        assert 'nbdev' not in sys.modules, 'nbdev was imported'
        print('ok: as installed,', name, flush=True)
    except Exception:
        failed += 1
        traceback.print_exc()
        print('FAILED: as installed,', name, flush=True)
sys.exit(bool(failed))
