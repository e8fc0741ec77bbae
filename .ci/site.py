"""What readers of the site must be able to rely on, checked with and without Quarto.

site.py check        the notebooks as nbdev hands them to Quarto, rendered by nbconvert into _check/: links, anchors, images, alternative text, formulas, browser
site.py check _docs  the same checks on the site that Quarto has built
"""
import json,math,os,re,shutil,subprocess,sys
from collections import Counter
from configparser import ConfigParser
from pathlib import Path
from urllib.parse import unquote,urljoin

import nbformat,yaml
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter
from nbdev.quarto import refresh_quarto_yml
from nbdev.serve import proc_nbs
from pygments.formatters import HtmlFormatter
from scipy import integrate,special

root = Path(__file__).parents[1]
ini = ConfigParser(delimiters=['='])
ini.read(root/'settings.ini', encoding='utf-8')
cfg = ini['DEFAULT']
URL,CODE = f"{cfg['doc_host']}{cfg['doc_baseurl']}/",f"{cfg['git_url']}/blob/{cfg['branch']}/"

def processed():
    "The notebooks as Quarto gets them. Not through nbdev_proc_nbs, which would download Quarto and install it as root where it is not there"
    refresh_quarto_yml()
    proc_nbs(force=True)
    sources = [p.relative_to(root/'nbs') for p in (root/'nbs').rglob('*.ipynb') if not {'.ipynb_checkpoints','hadaptive_runs'} & set(p.parts)]
    lost = [str(p) for p in sources if not (root/'_proc'/p).exists()]
    return sources,[f'{p}: not among the processed notebooks' for p in lost]

def front(nb): return next(yaml.safe_load_all(nb.cells[0].source.strip().strip('-'))) if nb.cells[0].cell_type=='raw' else {}

def options(source): return dict(re.findall(r'^#\| *([\w-]+): *(.*)$', source, re.M))

def markdown(nb):
    for c in nb.cells:
        if c.cell_type=='markdown': yield c.source
        for o in c.get('outputs', []):
            if md := o.get('data', {}).get('text/markdown'): yield ''.join(md)

def joined(cell):
    "The Markdown that Quarto makes of a cell's outputs: those of `output: asis` follow one another as they are"
    mds = [''.join(o['data']['text/markdown']) for o in cell.get('outputs', []) if 'text/markdown' in o.get('data', {})]
    return [''.join(mds)] if mds and options(cell.source).get('output')=='asis' else mds

def check_outputs(p, outs):
    "Warnings among the outputs of a cell"
    for o in outs:
        if o.output_type=='stream' and o.name=='stderr' and 'Warning' in o.text: yield f'{p}: a warning among the outputs: {o.text[:80]!r}'
        if 'No CUDA runtime' in str(o): yield f'{p}: a warning of this machine among the outputs'

def check_processed(p, nb):
    "What Quarto would make of a notebook, as far as it shows in the source"
    for c in nb.cells:
        outs,mds = c.get('outputs', []),[c.source] if c.cell_type=='markdown' else joined(c)
        each = [''.join(o['data']['text/markdown']) for o in outs if 'text/markdown' in o.get('data', {})]
        heads = lambda texts, before: sum(len(re.findall(before+r'#{1,6} \S', re.sub(r'```.*?```', '', t, flags=re.S))) for t in texts)
        if heads(mds, r'(?:\A\n*|\n\n)') < heads(each or mds, r'(?m)^'): yield f'{p}: a heading without an empty line before it: {(each or mds)[0][:60]!r}'
        for md in each or mds:
            if dollars := formulas(md)[1]: yield f'{p}: {dollars} dollars without a partner in: {md[:80]!r}'
        for md in mds:
            for m in re.findall(r'.{0,40}\]\([^)\s]*\)[^][\n]{0,40}\]\([^)]*\)', re.sub(r'!\[.*?\]\(.*?\)', '', md)): yield f'{p}: a link inside a link: {m!r}'
            for m in re.findall(r'(?m)^(\|.*\|)\n\|(?: *:?-+:? *\|)+$', md):
                if any(not h.strip() for h in m.strip('|').split('|')[1:]): yield f'{p}: an empty heading in a table: {m!r}'
            for m in re.findall(r'!\[[^]]{60,}\]\([^)]*\)(?!\{fig-alt)', md): yield f'{p}: Quarto drops the alternative text of a figure with a caption; fig-alt is missing: {m[:60]!r}'
        yield from check_outputs(p, outs)

def flat(items):
    "The pages of a sidebar, in order"
    for i in items:
        if isinstance(i, str): yield i
        else: yield from flat(i['contents']) if 'contents' in i else [i['href']]

def check_settings(katex):
    "_quarto.yml: what was seen to fail on the site as Quarto builds it"
    site = yaml.safe_load((root/'_quarto.yml').read_text(encoding='utf-8'))
    html,footer = site['format']['html'],site['website'].get('page-footer')
    math = html['html-math-method']
    if not isinstance(math, dict) or f'katex@{katex}/' not in math.get('url', ''): yield f'_quarto.yml: KaTeX is not pinned to {katex}, with which the formulas are checked'
    if not html.get('respect-user-color-scheme'): yield "_quarto.yml: the reader's preference for light or dark is ignored"
    if not footer: yield '_quarto.yml: no footer'
    for side,items in (footer or {}).items():
        if isinstance(items, str) and '](' in items: yield f'_quarto.yml: page-footer: {side}: Quarto resolves links in a text only on pages of the top folder; give a list of text and href'

def check_sidebar(sources):
    "sidebar.yml: every page, chapters in their order"
    contents = yaml.safe_load((root/'nbs/sidebar.yml').read_text(encoding='utf-8'))['website']['sidebar']['contents']
    order = [*flat(contents)]
    chapters = [p for p in order if '/' in p]
    yield from (f'sidebar.yml: {p} is not in it' for p in sources if p.as_posix() not in order and p.stem!='404')
    yield from (f'sidebar.yml: {p} is not there' for p in order if not (root/'nbs'/p).exists())
    if chapters!=sorted(chapters): yield 'sidebar.yml: chapters are not in the order of their numbers'
    for page,after in zip(order[1:], order[2:]):  # from the guide on, each page leads to the next
        last = nbformat.read(root/'nbs'/page, 4).cells[-1].source
        at = os.path.relpath(after, Path(page).parent)
        if 'Next: [' not in last or f']({at})' not in last.split('Next: ')[1]: yield f'{page}: does not end with "Next" and a link to {after}'
    if not (root/'nbs/404.ipynb').exists(): yield '404.ipynb: no page for what is not there'

def check_titles():
    "What the sidebar and the search show of a notebook"
    for f in sorted((root/'nbs').rglob('*.ipynb')):
        if '.ipynb_checkpoints' in f.parts: continue
        nb = nbformat.read(f, 4)
        if re.match(r'\d\d_', f.name) and not nb.cells[0].source.startswith(f'# {f.parent.name[0]}.{int(f.name[:2])} · '): yield f'{f.name}: its number is not in its title'
        first = next((c for c in nb.cells[1:] if c.cell_type=='markdown'), None)
        if first and first.source.startswith('[Open in Colab]'): yield f'{f.name}: the search shows "Open in Colab" for this page'

def sections(soups):
    "What Quarto's search looks through: the text of each page up to its first heading of level 2, and from each such heading to the next"
    for n,s in soups.items():
        title = s.title.get_text()
        part = dict(href=n, title=title, section='', text='')
        for e in (s.main or s.body).find_all(['h1','h2','h3','h4','p','pre','li','td','th']):
            if e.name in ('h1','h2'):
                if part['text'] or part['section']: yield part
                part = dict(href=n, title=title, section=e.get_text() if e.name=='h2' else '', text='')
            else: part['text'] += ' '+e.get_text(' ')
        yield part

def formulas(text):
    "Pandoc's rule: no space inside the dollars, no digit after them. What is left must hold no dollar"
    text = re.sub(r'```.*?```|`[^`\n]+`', '', text, flags=re.S)
    found = [(m, True) for m in re.findall(r'\$\$(.+?)\$\$', text, re.S)]
    text = re.sub(r'\$\$.+?\$\$', '', text, flags=re.S)
    single = r'(?<![\\$])\$(?=\S)((?:[^$\\]|\\.)+?)(?<=\S)\$(?!\d)'
    found += [(m, False) for m in re.findall(single, text)]
    return found,re.sub(single, '', text).replace(r'\$', '').count('$')

def anchor(text, taken):
    "Pandoc's identifier of a heading"
    a = re.sub(r'^[^a-z]+', '', re.sub(r'\s', '-', re.sub(r'[^\w\s.-]', '', text.strip().lower()))) or 'section'
    n,first = 0,a
    while a in taken: n += 1; a = f'{first}-{n}'
    taken.add(a)
    return a

FOLD,CLOSED = 'folded open','folded closed'

def plain(md):
    "Without attributes, which only Quarto knows; a figure's alternative text in its place"
    md = re.sub(r'!\[[^]]*\]\(([^)]*)\)\{fig-alt="([^"]*)"\}', r'![\2](\1)', md)
    return re.sub(r'(?m)^(#+ .*?) *\{[^}\n]*\}$', r'\1', re.sub(r'\]\(([^)]*)\)\{[^}]*\}', r'](\1)', md))

CDN = 'https://cdnjs.cloudflare.com/ajax/libs'
# Scripts in the order in which Quarto writes them: the header's own, require.js (which pages with tables load), KaTeX; then the body
PAGE = '''<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<script src="{cdn}/jquery/3.5.1/jquery.min.js"></script>
{head}
<script src="{cdn}/require.js/2.3.6/require.min.js"></script>
<script>define('jquery', [], () => window.jQuery)</script>
<script defer src="{katex}katex.min.js"></script><script defer src="{katex}contrib/auto-render.min.js"></script>
<script>addEventListener('DOMContentLoaded', () => renderMathInElement(document.body, {{delimiters: [{{left: '$$', right: '$$', display: true}}, {{left: '$', right: '$', display: false}}], throwOnError: true}}))</script>
<link rel="stylesheet" href="{katex}katex.min.css"><link rel="stylesheet" href="{up}check.css"><link rel="stylesheet" href="{up}styles.css"></head>
<body>{before}<nav>{nav}</nav><main>{body}</main></body></html>'''
# Quarto's own rules that readers stumbled over are here, so that what mends them is needed here, too
CSS = '''code:not(.sourceCode){color:#7d12ba;background:#f8f9fa}pre code:not(.sourceCode){color:inherit;background:none}table{width:100%}.table a{word-break:break-word}
body.quarto-dark{background:#222;color:#fff}.quarto-dark a{color:#00bc8c}.quarto-dark pre{background:#2b2b2b}
.katex-display>.katex{white-space:nowrap}pre>code.sourceCode>span{display:inline-block}
body{background:#fff;font:17px/1.5 Lato,Arial,sans-serif;margin:0;color:#222;display:grid;grid-template-columns:15rem 776px;gap:1rem}nav{padding:1rem;font-size:.9rem}nav a{display:block}
main{min-width:0}pre{background:#f6f8fa;padding:.5rem;font-size:.875em}.output{overflow-x:auto}.prompt{display:none}table{border-collapse:collapse}
td,th{padding:.5rem;border-bottom:1px solid #ddd;text-align:left}.small :is(td,th){padding:.25rem}@media(max-width:800px){body{display:block}nav{max-height:5rem;overflow:auto}}'''

def for_nbconvert(nb):
    "What Quarto makes of a cell's options, as nbconvert knows it"
    nb.cells = [c for c in nb.cells if c.cell_type!='raw']
    nb.metadata.language_info = dict(name='python')
    for c in nb.cells:
        if c.cell_type=='markdown': c.source = plain(c.source)
        if c.cell_type!='code': continue
        o,mds = options(c.source),joined(c)
        if 'fig-alt' in o: c.metadata.alt = json.loads(o['fig-alt'])
        if o.get('code-fold')=='show': c.source += f'\n# {FOLD}'
        if o.get('code-fold')=='true': c.source += f'\n# {CLOSED}'
        if o.get('echo')=='false': c.metadata.transient = dict(remove_source=True)
        c.source = re.sub(r'^#\|.*\n?', '', c.source, flags=re.M).strip()
        if o.get('output')=='asis': c.outputs = [nbformat.v4.new_output('display_data', {'text/markdown': md}) for md in mds]
        for out in c.outputs:
            if 'text/markdown' in out.get('data', {}): out.data = {'text/markdown': plain(''.join(out.data['text/markdown']))}

def like_quarto(body, fold):
    "nbconvert's HTML with Quarto's elements and classes: lines of code, what is printed, tables, folded code, identifiers"
    html = lambda text: BeautifulSoup(text, 'html.parser')
    for a in body.select('a.anchor-link'): a.decompose()
    for pre in body.select('.highlight pre'):
        lines = ''.join(f'<span>{l}</span>\n' for l in pre.decode_contents().replace('<span></span>', '').strip('\n').split('\n'))
        pre.replace_with(html(f'<pre class="sourceCode"><code class="sourceCode">{lines}</code></pre>'))
    for pre in body.select('.output pre'):
        if not pre.code: pre.replace_with(html(f'<pre><code>{pre.decode_contents()}</code></pre>'))
    for t in body.select('table'): t['class'] = [*t.get('class', []), 'table', *(['small'] if t.find_parent(class_='output') else [])]
    for code in body.select('div.input'):
        shown = FOLD in code.get_text()
        if not (shown or fold or CLOSED in code.get_text()): continue
        details = code.wrap(body.new_tag('details', attrs={'class': 'code-fold', 'open': ''} if shown else {}))
        details.insert(0, html(f'<summary>{"Exported source" if shown else "Code"}</summary>'))
    taken = set()
    for h in body.find_all(re.compile('^h[1-6]$')): h['id'] = anchor(h.get_text(), taken)

def preview(nbs, fronts, name, site):
    "Every processed notebook as a page"
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(root/'_proc/images', site/'images')
    shutil.copy(root/'_proc/styles.css', site)
    (site/'check.css').write_text(CSS+HtmlFormatter().get_style_defs('.sourceCode'))
    read = lambda f: (root/'_proc'/f).read_text(encoding='utf-8')
    html = yaml.safe_load(read('_quarto.yml'))['format']['html']
    order = [Path(i) for i in flat(yaml.safe_load(read('sidebar.yml'))['website']['sidebar']['contents'])]
    parts = dict(cdn=CDN, katex=html['html-math-method']['url'], head=read(html['include-in-header']), before=html['include-before-body']['text'])
    exporter = HTMLExporter(template_name='basic')
    for p,nb in nbs.items():
        fm,up = fronts[p],'../'*len(p.parent.parts)
        for_nbconvert(nb)
        body = BeautifulSoup(exporter.from_notebook_node(nb)[0], 'html.parser')
        like_quarto(body, fm.get('code-fold'))
        for a in body.find_all('a', href=True):
            file,_,frag = a['href'].partition('#')
            if not file.endswith('.ipynb') or '://' in file: continue
            to = Path(urljoin(p.as_posix(), unquote(file)))
            a['href'] = up+(name[to].as_posix() if to in name else f'missing/{to}')+(f'#{frag}' if frag else '')
        nav = ''.join(f'<a href="{up}{name.get(o, o).as_posix()}">{fronts.get(o, {}).get("title", o.stem)}</a>' for o in order)
        out = site/name[p]
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(PAGE.format(**parts, title=fm.get('title', p.stem), up=up, nav=nav, body=f'<h1 class="title">{fm.get("title", "")}</h1><p>{fm.get("description", "")}</p>{body}'), encoding='utf-8')

HERE = re.compile(rf'PosixPath|(?:(?<![\w.])/(?:tmp|root|home|mnt|opt|var|Users)/|{re.escape(str(root))}/?)[\w./-]+')

def read_site(site): return {f.relative_to(site).as_posix(): BeautifulSoup(f.read_text(encoding='utf-8'), 'html.parser') for f in site.rglob('*.html') if 'site_libs' not in f.parts}

def check_text(n, main):
    "Methods documented twice, paths of the machine that made the page"
    methods = Counter(h.get_text().strip() for h in main.find_all('h3'))
    yield from (f'{n}: {m} is documented {k} times' for m,k in methods.items() if k>1 and re.fullmatch(r'\w+\.\w+', m))
    yield from (f'{n}: a path of the machine that made it: {m}' for m in HERE.findall(main.get_text()))

def target(page, href):
    "Where a link leads: a file of the site, or an address elsewhere"
    for start in (URL,cfg['doc_baseurl']+'/'):  # the page for what is not there knows only its site
        if href.startswith(start): return urljoin('/', href.removeprefix(start))[1:]
    return href if re.match(r'\w+:', href) else urljoin(page, href)

def check_pages(site, sources, soups):
    "Links, anchors, images, alternative text and texts of a site in HTML"
    ids = {n: {e['id'] for e in s.find_all(id=True)} for n,s in soups.items()}
    bad,links,figures = [],0,0
    for n,s in soups.items():
        for a in s.find_all('a', href=True):
            href = target(n, a['href'])
            links += 1
            if href.startswith(CODE):
                if not (root/unquote(href.removeprefix(CODE).partition('#')[0])).exists(): bad.append(f'{n}: {href}: no such file in the repository')
                continue
            if re.match(r'\w+:', href): continue  # elsewhere
            file,_,frag = unquote(href).partition('#')
            file = file or n
            if not (site/file).is_file(): bad.append(f'{n}: {a["href"]}: no such page')
            elif frag and file in ids and frag not in ids[file]: bad.append(f'{n}: {a["href"]}: no such anchor')
        for i in s.find_all('img'):
            figures += 1
            if not i.get('alt','').strip() or i['alt'].startswith('No description'): bad.append(f'{n}: an image without alternative text')
            if not i['src'].startswith('data:') and not (site/urljoin(n, i['src'])).is_file(): bad.append(f'{n}: {i["src"]}: no such image')
        bad += check_text(n, s.main or s.body)
    colab = 'https://colab.research.google.com/github/'+cfg['git_url'].split('github.com/')[1]+f"/blob/{cfg['branch']}/nbs/"
    inside = {a['href'] for s in soups.values() for a in s.find_all('a', href=True)}
    bad += [f'{p}: no link to Colab' for p in sources if p.stem not in ('index','api','map','05_density','404') and colab+p.as_posix() not in inside]
    return bad,dict(pages=len(soups), links=links, figures=figures)

def densities():
    "Densities of products by another road: SciPy's adaptive quadrature over one factor, and K_0 where it is known"
    rows = [(z, dict(mi=0, mj=0, si=1, sj=1, r=0), special.k0(abs(z))/math.pi) for z in (-2., .1, 1.)]
    for z,p in ((.7, dict(mi=1, mj=0, si=1, sj=1, r=.5)), (-1.5, dict(mi=.5, mj=-2, si=.4, sj=1.5, r=-.9)), (6., dict(mi=3, mj=2, si=.1, sj=.1, r=.95)), (2., dict(mi=0, mj=1, si=2, sj=3, r=.3))):
        q = 1-p['r']**2
        def f(x):
            a,b = (x-p['mi'])/p['si'],(z/x-p['mj'])/p['sj']
            return math.exp(-(a*a-2*p['r']*a*b+b*b)/(2*q))/(2*math.pi*p['si']*p['sj']*math.sqrt(q)*abs(x))
        far = abs(p['mi'])+12*p['si']
        points = sorted({1e-12, far, *(m for m in (abs(p['mi']), abs(z/p['mj']) if p['mj'] else 1, .05, .5, 1, 2) if 0<m<far)})
        rows.append((z, p, sum(integrate.quad(lambda x: f(s*x), a, b, epsabs=1e-13, epsrel=1e-11, limit=500)[0] for s in (1,-1) for a,b in zip(points, points[1:]))))
    return rows

def tail():
    "Share of products of independent standard normals beyond four deviations: 2/pi times the integral of K_0"
    return dict(p=dict(mi=0, mj=0, si=1, sj=1, r=0), share=2/math.pi*integrate.quad(special.k0, 4, math.inf)[0])

def main(built=None):
    sources,bad = processed()
    work = root/'node_modules/.check'
    work.mkdir(parents=True, exist_ok=True)
    if not (work/'node_modules/requirejs').exists():
        (work/'package.json').write_text('{}')
        subprocess.run(['npm','install','--silent','--no-audit','--no-fund','katex@0.16.22','playwright-core@1','fuse.js@6.6.2','requirejs@2.3.6','jquery@3.5.1'], cwd=work, check=True)
    site = Path(built) if built else root/'_check'
    nbs = {p: nbformat.read(root/'_proc'/p, 4) for p in sources}
    fronts = {p: front(nb) for p,nb in nbs.items()}
    name = {p: p.with_name(fm.get('output-file', p.stem+'.html')) for p,fm in fronts.items()}
    bad += [f for p,nb in nbs.items() for f in check_processed(p, nb)]
    found = {name[p].as_posix(): [f for md in markdown(nb) for f in formulas(md)[0]] for p,nb in nbs.items()}
    if not built: preview(nbs, fronts, name, site)
    (work/'formulas.json').write_text(json.dumps(found))
    (work/'densities.json').write_text(json.dumps(densities()))
    (work/'tail.json').write_text(json.dumps(tail()))
    katex = json.loads((work/'node_modules/katex/package.json').read_text())['version']
    bad += [*check_settings(katex), *check_sidebar(sources), *check_titles()]
    soups = read_site(site)
    more,counts = check_pages(site, sources, soups)
    bad += more
    (work/'search.json').write_text(json.dumps([*sections(soups)]))
    (work/'names.json').write_text(json.dumps(sorted({h.get_text().strip() for h in soups['api.html'].select('main h2')})))
    r = subprocess.run(['node', str(root/'.ci/browser.mjs'), str(site), str(work), cfg['doc_baseurl']], capture_output=True, text=True)
    if r.returncode: bad.append(f'browser.mjs: {r.stderr[-2000:]}')
    else:
        seen = json.loads(r.stdout)
        bad += seen['bad']
        counts |= dict(formulas=seen['formulas'], opened=f"{seen['pages']} pages at 390 and 1280 pixels")
    for b in bad: print(b)
    print(', '.join(f'{k}: {v}' for k,v in counts.items()), '-', 'nothing is amiss' if not bad else f'{len(bad)} faults')
    return bool(bad)

if __name__=='__main__':
    if sys.argv[1:2]!=['check']: sys.exit(__doc__)
    sys.exit(main(*sys.argv[2:3]))
