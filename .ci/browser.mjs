// browser.mjs SITE WORK PREFIX: the site's addresses begin with PREFIX; WORK holds node_modules, formulas.json (of each page: every formula must parse and be rendered), densities.json and tail.json (what 1_idea/density.html must give);
// then every page of SITE is opened at two widths and in both themes. Prints a JSON object; with SHOTS=folder, leaves screenshots of the pages named in PAGES there.
import {createRequire} from 'node:module';
import {createServer} from 'node:http';
import {existsSync, readFileSync, readdirSync} from 'node:fs';
import {extname, join, resolve} from 'node:path';

const [site, work] = process.argv.slice(2, 4).map(p => resolve(p)), prefix = process.argv[4], need = createRequire(join(work, 'x.js'));
const katex = need('katex'), {chromium} = need('playwright-core'), bad = [], read = f => JSON.parse(readFileSync(join(work, f)));

const formulas = read('formulas.json');
for (const [page, all] of Object.entries(formulas)) for (const [text, displayMode] of all)
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
  const f = join(site, decodeURIComponent(new URL(q.url, 'http://x').pathname.slice(prefix.length)));
  if (!existsSync(f) || !extname(f)) { a.writeHead(404); return a.end(); }
  a.writeHead(200, {'content-type': types[extname(f)] ?? 'application/octet-stream'});
  a.end(extname(f) === '.html' ? readFileSync(f, 'utf8').replace(/ integrity="[^"]*"/g, '') : readFileSync(f));
}).listen(0, '127.0.0.1');
await new Promise(r => server.on('listening', r));
const base = `http://127.0.0.1:${server.address().port}${prefix}/`;

// What pages load from elsewhere, from node_modules
const elsewhere = [[/\/katex@[^/]+\/dist\/(.+)$/, 'katex/dist/'], [/\/(require)\.min\.js$/, 'requirejs/'], [/\/(jquery\.min\.js)$/, 'jquery/dist/']];
const local = async route => {
  const url = route.request().url(), headers = {'access-control-allow-origin': '*'};
  if (url.startsWith('https://fonts.googleapis.com/')) return route.fulfill({contentType: 'text/css', body: ''});
  for (const [pattern, folder] of elsewhere) {
    const file = url.match(pattern)?.[1].replace(/^require$/, 'require.js');
    if (file) return route.fulfill({path: join(work, 'node_modules', folder, file), contentType: types[extname(file)], headers});
  }
  return route.abort();
};

// What a reader would stumble over. These functions run in the page.
const tools = () => {
  const t = window.seen = {text: e => e.textContent.trim().replace(/\s+/g, ' ').slice(0, 40), box: e => e.getBoundingClientRect(), all: (q, e = document) => [...e.querySelectorAll(q)]};
  t.rects = (node, from, to) => { const r = document.createRange(); from === undefined ? r.selectNodeContents(node) : (r.setStart(node, from), r.setEnd(node, to)); return [...r.getClientRects()].filter(b => b.width); };
  t.broken = (node, m) => { const r = t.rects(node, m.index, m.index+m[0].length); return r.some(b => b.top > r[0].bottom-2); };
  t.texts = root => { const found = [], walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT); while (walk.nextNode()) if (!walk.currentNode.parentElement.closest('.katex, script, style')) found.push(walk.currentNode); return found; };
  const light = c => { const [r, g, b] = c.match(/[\d.]+/g).map(v => (v /= 255) <= .03928 ? v/12.92 : ((v+.055)/1.055)**2.4); return .2126*r+.7152*g+.0722*b; };
  t.light = light;
  t.contrast = (one, two) => { const [a, b] = [light(one), light(two)].sort((x, y) => y-x); return (a+.05)/(b+.05); };
};
// Code wider than its column, or wrapped to where it began; intervals and names broken in two; numbers over equations; tables wider than rows, numbers at their left
const anywhere = () => {
  const found = [], {text, box, all, rects, broken, texts} = window.seen;
  for (const e of all('main pre')) if (e.scrollWidth > e.clientWidth+1) found.push(`code wider than its column: ${text(e)}`);
  for (const e of all('main pre.sourceCode > code > span')) {
    const r = rects(e), began = e.textContent.search(/\S|$/)*.6*parseFloat(getComputedStyle(e).fontSize);
    if (r.some(b => b.top > r[0].bottom-2 && b.left < r[0].left+Math.min(began+1, .4*innerWidth-1))) { found.push(`wrapped code does not go on deeper: ${text(e)}`); break; }
  }
  for (const n of all('main').flatMap(texts)) {
    if (!/\S/.test(n.data) || n.parentElement.closest('pre')) continue;
    const name = n.parentElement.closest('code') ? /\S+/g : /[^\s\-–—/?#]+[-–—/?#]*/g, interval = /[-+−]?[\d.]+\s…\s[-+−]?[\d.]+|[[(][-+−]?[\d.]+(?:,|\sto)\s[-+−]?[\d.]+[\])]/g;
    for (const m of n.parentElement.closest('table') ? n.data.matchAll(name) : []) if (broken(n, m)) found.push(`a name broken in two: ${m[0]}`);
    for (const m of n.data.matchAll(interval)) if (broken(n, m)) found.push(`an interval broken in two: ${m[0]}`);
  }
  for (const e of all('.katex-html > .tag')) {
    const right = Math.max(...all(':scope > .base', e.parentElement).map(b => box(b).right));
    if (box(e.firstElementChild ?? e).left < right-1) found.push(`a number over its equation: ${text(e)}`);
  }
  for (const e of all('main table')) {
    const row = e.querySelector('tr');
    if (row && Math.min(box(e).width, e.clientWidth) > box(row).width+4) found.push(`a table wider than its rows: ${text(e)}`);
    const heads = all('.dataframe thead tr', e).map(r => [...r.cells].map(text));
    if (heads.length > 1 && heads.at(-1)[0] && !heads.at(-1).at(-1)) found.push(`a row of index names under the headings: ${text(e)}`);
    for (const d of e.matches('.dataframe') ? all('td', e) : []) if (/^[-+]?[\d.,]+$/.test(text(d)) && !['right', 'end'].includes(getComputedStyle(d).textAlign)) { found.push(`numbers at the left: ${text(e)}`); break; }
  }
  for (const e of all('details.code-fold[open]')) { found.push(`source open beside its signature: ${text(e)}`); break; }
  return found;
};
const cut = () => window.seen.all('main table, main .katex-display').filter(e => e.scrollWidth > e.clientWidth+1).map(e => `cut off (${e.scrollWidth} pixels in ${e.clientWidth}): ${window.seen.text(e)}`);
// In one theme: links and code hard to read, printed text unlike other text, colours of figures changed; what must be the same in both
const themed = dark => {
  const found = [], {text, all, light, contrast} = window.seen, theme = dark ? 'dark' : 'light', style = e => getComputedStyle(e), page = style(document.body).backgroundColor;
  for (const e of all('main :not(pre) > code:not(.sourceCode)')) {
    const s = style(e);
    if (contrast(s.color, s.backgroundColor) < 4.5 || dark && light(s.backgroundColor) > .3) { found.push(`${theme}: code hard to read: ${text(e)}`); break; }
  }
  for (const e of all('main p > a')) if (contrast(style(e).color, e.matches('.btn') ? style(e).backgroundColor : page) < 4.5) { found.push(`${theme}: a link hard to read: ${text(e)}`); break; }
  for (const e of all('main pre > code:not(.sourceCode)')) if (style(e).color !== style(e.parentElement).color || !/ 0\)|transparent/.test(style(e).backgroundColor)) { found.push(`${theme}: printed text is coloured: ${text(e)}`); break; }
  for (const e of all('main img')) if (dark ? !/^brightness/.test(style(e).filter) : style(e).filter !== 'none') { found.push(`${theme}: a figure that glares, or in other colours: ${style(e).filter}`); break; }
  return [found, [style(document.body).fontFamily, style(document.body).fontSize, document.getElementById('quarto-header')?.offsetHeight].join(' ')];
};
const darken = page => page.evaluate(async () => {
  if (!window.quartoToggleColorScheme) return document.body.classList.add('quarto-dark');
  window.quartoToggleColorScheme();
  while (window.seen.light(getComputedStyle(document.body).backgroundColor) > .3) await new Promise(r => setTimeout(r, 5));
});

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
const browser = await chromium.launch({executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run']});
const pages = readdirSync(site, {recursive: true}).filter(f => f.endsWith('.html') && !f.includes('site_libs')).sort();
const sizes = {desktop: {width: 1280, height: 900}, phone: {width: 390, height: 900}};
let rendered = 0;

const open = async (page, at) => {
  const say = (name, faults) => bad.push(...faults.map(f => `${at} (${name}): ${f}`));
  page.at = at;
  await page.setViewportSize(sizes.desktop);
  await page.goto(base+at, {waitUntil: 'load'});
  await page.evaluate(tools);
  const [shown, broken] = await page.evaluate(() => [document.querySelectorAll('main .katex:not(.toc-narrow *)').length, [...document.images].filter(i => !i.naturalWidth).map(i => `broken image ${i.alt}`)]);
  const written = formulas[at]?.length ?? 0;
  rendered += shown;
  say('desktop', [...broken, ...shown === written ? [] : [`${shown} of ${written} formulas are rendered`], ...await page.evaluate(cut)]);
  for (const name in sizes) {
    await page.setViewportSize(sizes[name]);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth-innerWidth);
    say(name, [...wide > 1 ? [`${wide} pixels too wide`] : [], ...await page.evaluate(anywhere)]);
    if (process.env.SHOTS && (process.env.PAGES ?? '').split(' ').includes(at)) await page.screenshot({path: join(process.env.SHOTS, `${at.replace(/\W/g, '_')}_${name}.png`)});
  }
  const [inLight, one] = await page.evaluate(themed, false);
  await darken(page);
  const [inDark, other] = await page.evaluate(themed, true);
  say('phone', [...inLight, ...inDark, ...one === other ? [] : [`the themes differ in font or header: ${one}, ${other}`]]);
  await page.evaluate(() => localStorage.clear());
};
const newPage = async () => {
  const page = await browser.newPage({colorScheme: 'light'});
  page.on('console', m => m.type() === 'error' && bad.push(`${page.at}: console: ${m.text()}`));
  page.on('pageerror', e => bad.push(`${page.at}: ${e.message}`));
  page.on('requestfailed', r => bad.push(`${page.at}: ${r.url()}`));
  await page.route(/^https:/, local);
  return page;
};
const todo = [...pages];
await Promise.all([1, 2].map(async () => {
  const page = await newPage();
  while (todo.length) await open(page, todo.shift());
  await page.close();
}));

if (pages.includes('1_idea/density.html')) {
  const page = await newPage();
  page.at = '1_idea/density.html';
  await page.goto(base+page.at);
  for (const [z, p, f] of read('densities.json')) {
    const g = await page.evaluate(([z, p]) => density(z, p), [z, p]);
    if (!(Math.abs(g-f) <= 1e-6*Math.max(f, 1e-3))) bad.push(`1_idea/density.html: density(${z}, ${JSON.stringify(p)}) = ${g}, is ${f}`);
  }
  const {p, share} = read('tail.json'), seen = await page.evaluate(p => tail(p), p);
  if (!(Math.abs(seen/share-1) < 1e-3)) bad.push(`1_idea/density.html: tail(${JSON.stringify(p)}) = ${seen}, is ${share}`);
  const shown = () => page.evaluate(() => [document.getElementById('mean').textContent, document.querySelector('#plot path:last-of-type').getAttribute('d')]);
  const before = await shown();
  await page.locator('#mi').focus();
  for (let k = 0; k < 20; k++) await page.keyboard.press('ArrowRight');  // from 1 to 2
  const after = await shown();
  if (before[1] === after[1]) bad.push('1_idea/density.html: the curve does not follow its slider');
  if (before[0] !== '0.500' || after[0] !== '0.500') bad.push(`1_idea/density.html: mean ${before[0]}, then ${after[0]}, must be 0.500`);
  await page.locator('#mj').focus();
  for (let k = 0; k < 20; k++) await page.keyboard.press('ArrowRight');  // from 0 to 1
  if ((await shown())[0] !== '2.500') bad.push(`1_idea/density.html: mean ${(await shown())[0]}, must be 2.500`);
}
await browser.close();
server.close();
console.log(JSON.stringify({formulas: rendered, pages: pages.length, bad}));
