// browser.mjs SITE WORK: WORK holds node_modules, formulas.json (every formula must parse) densities.json and tail.json (what density.html must give);
// then every page of SITE is opened at two widths. Prints a JSON object; with SHOTS=folder, leaves screenshots of the pages named in PAGES there.
import {createRequire} from 'node:module';
import {createServer} from 'node:http';
import {existsSync, readFileSync, readdirSync} from 'node:fs';
import {extname, join, resolve} from 'node:path';

const [site, work] = process.argv.slice(2).map(p => resolve(p)), need = createRequire(join(work, 'x.js'));
const katex = need('katex'), {chromium} = need('playwright-core'), bad = [], read = f => JSON.parse(readFileSync(join(work, f)));

const formulas = read('formulas.json');
for (const [page, text, displayMode] of formulas)
  try { katex.renderToString(text, {displayMode, strict: 'error'}); } catch (e) { bad.push(`${page}: ${text}: ${e.message}`); }

// Quarto's search: its index by headings of level 2, its weights. Every public name must be the first hit for itself.
const Fuse = need('fuse.js'), keys = [{name: 'title', weight: 20}, {name: 'section', weight: 20}, {name: 'text', weight: 10}];
const index = new Fuse(read('search.json'), {keys, ignoreLocation: true, threshold: .1}), names = read('names.json');
for (const n of names) {
  const [hit] = index.search(n, {limit: 1});
  if (hit?.item.section.trim().toLowerCase() !== n.toLowerCase()) bad.push(`search: the first hit for ${n} is ${hit?.item.href} ${hit?.item.section}`);
}

const types = {'.html': 'text/html', '.css': 'text/css', '.js': 'text/javascript', '.png': 'image/png', '.svg': 'image/svg+xml', '.woff2': 'font/woff2', '.json': 'application/json'};
const server = createServer((q, a) => {
  const f = join(site, decodeURIComponent(new URL(q.url, 'http://x').pathname));
  if (!existsSync(f) || !extname(f)) { a.writeHead(404); return a.end(); }
  a.writeHead(200, {'content-type': types[extname(f)] ?? 'application/octet-stream'}); a.end(readFileSync(f));
}).listen(0, '127.0.0.1');
await new Promise(r => server.on('listening', r));
const base = `http://127.0.0.1:${server.address().port}/`;

// What a reader would stumble over: code wider than its column, an equation's number over the equation, rules wider than rows, numbers at
// the left, names broken in two; in the dark theme, code that is hard to read and figures that glare.
const faults = () => {
  const found = [], text = e => e.textContent.trim().slice(0, 40), box = e => e.getBoundingClientRect();
  for (const e of document.querySelectorAll('main pre')) if (e.scrollWidth > e.clientWidth+1) found.push(`code wider than its column: ${text(e)}`);
  for (const e of document.querySelectorAll('.katex-html > .tag')) {
    const right = Math.max(...[...e.parentElement.querySelectorAll(':scope > .base')].map(b => box(b).right));
    if (box(e.firstElementChild ?? e).left < right-1) found.push(`a number over its equation: ${text(e)}`);
  }
  for (const e of document.querySelectorAll('main table')) {
    const row = e.querySelector('tr');
    if (row && Math.min(box(e).width, e.clientWidth) > box(row).width+4) found.push(`a table wider than its rows: ${text(e)}`);
    const heads = [...e.querySelectorAll('.dataframe thead tr')].map(r => [...r.cells].map(text));
    if (heads.length > 1 && heads.at(-1)[0] && !heads.at(-1).at(-1)) found.push(`a row of index names under the headings: ${text(e)}`);
    for (const d of e.matches('.dataframe') ? e.querySelectorAll('td') : []) if (/^[-+]?[\d.,]+$/.test(text(d)) && !['right', 'end'].includes(getComputedStyle(d).textAlign)) { found.push(`numbers at the left: ${text(e)}`); break; }
    for (const c of e.querySelectorAll('code')) if (c.getClientRects().length > 1 && !/\s/.test(text(c))) found.push(`a name broken in two: ${text(c)}`);
  }
  for (const e of document.querySelectorAll('details.code-fold[open]')) { found.push(`source open beside its signature: ${text(e)}`); break; }
  document.body.classList.add('quarto-dark');
  const light = c => { const [r, g, b] = c.match(/[\d.]+/g).map(v => (v /= 255) <= .03928 ? v/12.92 : ((v+.055)/1.055)**2.4); return .2126*r+.7152*g+.0722*b; };
  for (const e of document.querySelectorAll('main code:not(.sourceCode)')) {
    if (e.closest('pre')) continue;
    const s = getComputedStyle(e), [a, b] = [light(s.color), light(s.backgroundColor)].sort((x, y) => y-x);
    if ((a+.05)/(b+.05) < 4.5 || light(s.backgroundColor) > .3) { found.push(`dark: code hard to read: ${text(e)}`); break; }
  }
  for (const e of document.querySelectorAll('main img')) if (getComputedStyle(e).filter === 'none') { found.push('dark: a figure on white'); break; }
  document.body.classList.remove('quarto-dark');
  return found;
};

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
const browser = await chromium.launch({executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run']});
const pages = readdirSync(site, {recursive: true}).filter(f => f.endsWith('.html') && !f.includes('katex')).sort();
for (const [name, width] of [['phone', 390], ['desktop', 1280]]) {
  const page = await browser.newPage({viewport: {width, height: 900}});
  let at;
  page.on('console', m => m.type() === 'error' && bad.push(`${at} (${name}): console: ${m.text()}`));
  page.on('pageerror', e => bad.push(`${at} (${name}): ${e.message}`));
  page.on('requestfailed', r => bad.push(`${at} (${name}): ${r.url()}`));
  for (at of pages) {
    await page.goto(base+at, {waitUntil: 'load'});
    const [wide, broken] = await page.evaluate(() => [document.documentElement.scrollWidth-innerWidth, [...document.images].filter(i => !i.naturalWidth).map(i => i.alt)]);
    if (wide > 1) bad.push(`${at} (${name}): ${wide} pixels too wide`);
    for (const i of broken) bad.push(`${at} (${name}): broken image ${i}`);
    for (const f of await page.evaluate(faults)) bad.push(`${at} (${name}): ${f}`);
    if (process.env.SHOTS && (process.env.PAGES ?? '').split(' ').includes(at)) await page.screenshot({path: join(process.env.SHOTS, `${at.replace(/\W/g, '_')}_${name}.png`)});
  }
  if (name === 'desktop' && pages.includes('density.html')) {
    await page.goto(base+(at = 'density.html'));
    for (const [z, p, f] of read('densities.json')) {
      const g = await page.evaluate(([z, p]) => density(z, p), [z, p]);
      if (!(Math.abs(g-f) <= 1e-6*Math.max(f, 1e-3))) bad.push(`density.html: density(${z}, ${JSON.stringify(p)}) = ${g}, is ${f}`);
    }
    const {p, share} = read('tail.json'), seen = await page.evaluate(p => tail(p), p);
    if (!(Math.abs(seen/share-1) < 1e-3)) bad.push(`density.html: tail(${JSON.stringify(p)}) = ${seen}, is ${share}`);
    const shown = () => page.evaluate(() => [document.getElementById('mean').textContent, document.querySelector('#plot path:last-of-type').getAttribute('d')]);
    const before = await shown();
    await page.locator('#mi').focus();
    for (let k = 0; k < 20; k++) await page.keyboard.press('ArrowRight');  // from 1 to 2
    const after = await shown();
    if (before[1] === after[1]) bad.push('density.html: the curve does not follow its slider');
    if (before[0] !== '0.500' || after[0] !== '0.500') bad.push(`density.html: mean ${before[0]}, then ${after[0]}, must be 0.500`);
    await page.locator('#mj').focus();
    for (let k = 0; k < 20; k++) await page.keyboard.press('ArrowRight');  // from 0 to 1
    if ((await shown())[0] !== '2.500') bad.push(`density.html: mean ${(await shown())[0]}, must be 2.500`);
  }
  await page.close();
}
await browser.close();
server.close();
console.log(JSON.stringify({formulas: formulas.length, pages: pages.length, bad}));
