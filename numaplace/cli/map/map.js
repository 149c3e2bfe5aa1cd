// SPDX-License-Identifier: Apache-2.0
// Shows the fleet that the page holds. Names come from strangers: they are written as text, never as markup.
'use strict';
(() => {
  const fleet = JSON.parse(document.getElementById('fleet').textContent);
  const {hosts, guests, findings, flavors, kinds, refusals, texts, symbols, classes} = fleet;
  const frames = document.getElementById('frames').content.children;
  const by = (id) => document.getElementById(id);
  const BATCH = 1000;
  const COLORS = 8;

  // --- reading the compact lists; numaplace/fleet/fleet_map.py says what is where
  const NAME = 0, KIND = 1, ZONE = 2, STATUS = 3, STATE = 4, VCPUS = 5, MIB = 6, MIB_USED = 7, FLOATING = 8, CELLS = 9,
    DEVICES = 10, DOMAINS = 11;

  /** Return the numbers of "0-3,8", in their order. */
  function numbers(text) {
    const found = [];
    for (const part of text ? text.split(',') : []) {
      const [first, last] = part.split('-').map(Number);
      for (let number = first; number <= (last ?? first); number++) found.push(number);
    }
    return found;
  }

  const count = (text, wanted) => { let n = 0; for (const one of text) if (wanted.includes(one)) n++; return n; };
  const plural = (number, noun) => `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
  const mib = (number) => `${number.toLocaleString('en')} MiB`;
  const size = (kib) => kib % 1048576 === 0 ? `${kib / 1048576}G` : kib % 1024 === 0 ? `${kib / 1024}M` : `${kib}K`;

  const dedicatedOf = kinds.map((cells) => cells.map(([, , dedicated]) => numbers(dedicated).length));
  const sumsOf = [];

  /** How many CPUs of a cell are dedicated and in use, shared alone, and dedicated and free. */
  function cellUse(host, row) {
    const marks = hosts[host][CELLS][row][0], all = dedicatedOf[hosts[host][KIND]][row], dedicated = count(marks, 'xo#?');
    return {dedicated, shared: marks.length - all, open: all - dedicated};
  }

  /** The same for all cells of a host, counted once. */
  function hostUse(host) {
    if (!sumsOf[host]) {
      sumsOf[host] = {dedicated: 0, shared: 0, open: 0};
      hosts[host][CELLS].forEach((_, row) => {
        for (const [kind, number] of Object.entries(cellUse(host, row))) sumsOf[host][kind] += number;
      });
    }
    return sumsOf[host];
  }

  /** Guests of each host: [guest, letters, cells]. */
  const here = hosts.map(() => []);
  guests.forEach((guest, number) => guest[6].forEach(([host, letters, cells]) => here[host].push([number, letters, cells])));
  const found = hosts.map(() => []);
  findings.forEach((finding, number) => { if (finding[3] >= 0) found[finding[3]].push(number); });
  const severities = (host, wanted) => found[host].filter((number) => texts[findings[number][0]] === wanted).length;

  // --- elements
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  function table(caption, heads, rows) {
    const line = (tag, cells) => element('tr', {}, ...cells.map((cell) => element(tag, tag === 'th' ? {scope: 'col'} : {}, cell)));
    return element('table', {}, element('caption', {class: 'unseen'}, caption), element('thead', {}, line('th', heads)),
      element('tbody', {}, ...rows.map((row) => line('td', row))));
  }

  const section = (title, ...children) => element('section', {}, element('h3', {}, title), ...children);

  const SVG = 'http://www.w3.org/2000/svg';
  function path(kind, d) {
    const made = document.createElementNS(SVG, 'path');
    made.setAttribute('class', kind);
    made.setAttribute('d', d);
    return made;
  }

  // --- tiles
  const tiles = [];
  const box = (x, y, width, height) => width ? `M${x} ${y}h${width}v${height}h${-width}z` : '';

  /** Draw the cells of a host as bars, one below the other. */
  function bars(host) {
    const cells = hosts[host][CELLS], drawn = {dedicated: '', shared: '', open: ''};
    const svg = document.createElementNS(SVG, 'svg');
    const widest = Math.max(1, ...cells.map(([marks]) => marks.length));
    svg.setAttribute('viewBox', `-1 -1 102 ${cells.length * 8 + 1}`);
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.setAttribute('aria-hidden', 'true');
    cells.forEach((_, row) => {
      let x = 0;
      for (const [kind, number] of Object.entries(cellUse(host, row))) {
        const width = number * 100 / widest;
        drawn[kind] += box(x, row * 8, width, 6);
        x += width;
      }
    });
    svg.append(...Object.entries(drawn).filter(([, d]) => d).map(([kind, d]) => path(kind, d)));
    return svg;
  }

  /** Outline the cells of a tile that have a guest which is looked for. */
  function outline(host, lit) {
    const svg = tile(host).firstChild.lastChild;
    svg.querySelector('.lit')?.remove();
    const d = kinds[hosts[host][KIND]].map(([id], row) => lit.has(id) ? box(0, row * 8, 100, 6) : '').join('');
    if (d) svg.append(path('lit', d));
  }

  function tile(host) {
    if (tiles[host]) return tiles[host];
    const [name, , zone, , , , , , , cells] = hosts[host];
    const sums = hostUse(host);
    const words = `zone ${texts[zone]}; ${plural(cells.length, 'cell')}; CPUs: ${sums.dedicated} dedicated in use, ` +
      `${sums.open} dedicated free, ${sums.shared} shared; ${plural(here[host].length, 'guest')}`;
    const button = element('button', {type: 'button', class: 'tile', 'data-host': host},
      element('span', {class: 'name', title: name}, name), element('span', {class: 'badge'}), element('span', {class: 'unseen'}, words), bars(host));
    tiles[host] = element('li', {}, button);
    return tiles[host];
  }

  const step = (share) => `room${Math.max(0, Math.min(4, Math.floor(share * 5)))}`;
  const COLOR = {
    cpus(host) {
      const {dedicated, open} = hostUse(host);
      return [`${open} of ${dedicated + open} CPUs free`, step(dedicated + open ? open / (dedicated + open) : 0)];
    },
    memory(host) {
      const held = hosts[host][CELLS].reduce((sum, cell) => sum + cell[4], 0);
      const total = hosts[host][MIB], left = total - hosts[host][MIB_USED] - held;
      return [`${mib(left)} free`, step(total ? left / total : 0)];
    },
    findings(host) {
      const errors = severities(host, 'error'), warnings = severities(host, 'warning');
      const words = [errors && `\u2715 ${plural(errors, 'error')}`, warnings && `\u25b2 ${plural(warnings, 'warning')}`];
      return [words.filter(Boolean).join(', ') || 'no findings', errors ? 'bad' : warnings ? 'warn' : 'room4'];
    },
    flavor(host) {
      const [name, fault, answers] = flavors[by('flavor').value] ?? ['', 'no flavor', []];
      if (fault) return [`no answer for ${name}`, 'warn'];
      return answers[host] < 0 ? [`\u2713 takes ${name}`, 'room4'] : [`\u2715 refuses ${name}`, 'bad'];
    },
  };

  function paint(host, lit) {
    const button = tile(host).firstChild, [words, kind] = COLOR[by('color-by').value](host);
    button.className = `tile ${kind}`;
    button.children[1].textContent = words;
    outline(host, lit);
  }

  // --- the filter
  let limit = BATCH;

  /** Whether a host has the finding that is looked for: a severity, or a code. */
  const concerns = (host, wanted) => found[host].some((number) => {
    const [severity, code] = findings[number];
    return wanted === `severity ${texts[severity]}` || wanted === `code ${texts[code]}`;
  });

  /** Return the guests that are looked for, or null if none is. */
  function wantedGuests() {
    const word = by('by-guest').value.trim().toLowerCase();
    if (!word) return null;
    const matching = new Set();
    guests.forEach(([name, uuid], number) => {
      if (name.toLowerCase().includes(word) || uuid.toLowerCase().includes(word)) matching.add(number);
    });
    return matching;
  }

  function show() {
    const word = by('by-name').value.trim().toLowerCase(), zone = by('by-zone').value, finding = by('by-finding').value;
    const wanted = wantedGuests(), matching = [];
    hosts.forEach((host, number) => {
      if (word && !host[NAME].toLowerCase().includes(word)) return;
      if (zone && host[ZONE] !== Number(zone)) return;
      if (finding && !concerns(number, finding)) return;
      if (wanted && !here[number].some(([guest]) => wanted.has(guest))) return;
      matching.push(number);
    });
    const shown = matching.slice(0, limit), none = new Set();
    for (const host of shown) {
      const cells = wanted ? here[host].filter(([guest]) => wanted.has(guest)).flatMap(([, , all]) => all) : [];
      paint(host, cells.length ? new Set(cells.map(([cell]) => cell)) : none);
    }
    by('hosts').replaceChildren(...shown.map(tile));
    by('more').hidden = shown.length === matching.length;
    by('count').textContent = `${plural(matching.length, 'host')} of ${hosts.length.toLocaleString('en')}` +
      (shown.length < matching.length ? `, the first ${shown.length.toLocaleString('en')} are shown` : '');
  }

  let due = 0;
  function later() {
    limit = BATCH;
    cancelAnimationFrame(due);
    due = requestAnimationFrame(show);
  }

  // --- one host
  let opened = 0;
  const title = (number) => guests[number][0];

  /** Return the letters of the guest that holds a CPU, by CPU; two sides of a move on one host are one guest. */
  function owners(host) {
    const letters = new Map();
    for (const [number, letter, cells] of here[host]) {
      for (const [, , , , pinned = '', , more = ''] of cells) {
        for (const cpu of [...numbers(pinned), ...numbers(more)]) letters.set(cpu, [letter, number]);
      }
    }
    return letters;
  }

  /** Return the symbol of each CPU of a host, by CPU. */
  function marks(host) {
    const all = new Map();
    kinds[hosts[host][KIND]].forEach(([, cpus], row) => {
      numbers(cpus).forEach((cpu, place) => all.set(cpu, hosts[host][CELLS][row][0][place]));
    });
    return all;
  }

  /** Fill the drawing of a kind of host in, as `fill` of numaplace/cli/host_svg.py does. */
  function picture(host) {
    const drawn = frames[hosts[host][KIND]].cloneNode(true), owned = owners(host), used = marks(host);
    const order = [...new Set(here[host].filter(([, letter]) => letter).map(([, letter]) => letter))];
    for (const group of drawn.querySelectorAll('.cpu')) {
      const cpu = Number(group.dataset.cpu), symbol = used.get(cpu), pinned = 'xo'.includes(symbol);
      const [letter, guest] = owned.get(cpu) ?? [];
      group.setAttribute('class', `cpu ${classes[symbol]}${pinned ? ` guest${order.indexOf(letter) % COLORS}` : ''}`);
      group.lastElementChild.textContent = pinned ? letter : symbol;
      if (pinned) group.dataset.guest = guest;
    }
    drawn.setAttribute('class', 'picture');
    drawn.setAttribute('role', 'img');
    drawn.setAttribute('aria-label', 'CPUs by cell and core; the tables below say the same');
    drawn.addEventListener('click', (event) => {
      const guest = event.target.closest('.cpu')?.dataset.guest;
      if (guest !== undefined) light(Number(guest));
    });
    return drawn;
  }

  /** Show where a guest is, or no guest if it is the one that is shown. */
  function light(guest) {
    const body = by('host-body'), svg = body.querySelector('.picture');
    const chosen = body.querySelector(`.guest[data-guest="${guest}"]`);
    const on = chosen.getAttribute('aria-pressed') !== 'true';
    for (const button of body.querySelectorAll('.guest')) button.setAttribute('aria-pressed', 'false');
    chosen.setAttribute('aria-pressed', String(on));
    svg.classList.toggle('dim', on);
    const floating = new Set(), rows = new Set();
    for (const [number, , cells] of here[opened]) {
      if (number !== guest) continue;
      for (const [cell, , , , , shared] of cells) { rows.add(cell); if (shared) floating.add(String(cell)); }
    }
    for (const group of svg.querySelectorAll('.cpu')) {
      const floats = group.classList.contains('shared') && floating.has(group.parentNode.dataset.cell);
      group.classList.toggle('lit', on && (group.dataset.guest === String(guest) || floats));
    }
    by('lit-cells').textContent = !on ? '' : rows.size ? `${title(guest)} is on ${rows.size === 1 ? 'cell' : 'cells'} ${[...rows].join(', ')}` :
      `${title(guest)} floats over the whole host`;
  }

  function placeOf([cell, memory, page, vcpus = '', cpus = '', shared = '', more = '']) {
    const words = [];
    if (vcpus) words.push(`vCPUs ${vcpus} pinned to CPUs ${cpus}`);
    if (shared) words.push(`vCPUs ${shared} float`);
    if (more) words.push(`CPUs ${more} kept for it`);
    return `cell ${cell}: ${[...words, mib(memory), page ? `${size(page)} pages` : ''].filter(Boolean).join(', ')}`;
  }

  function guestTable(host) {
    const listed = new Map();
    for (const [number, letter, cells] of here[host]) {
      const row = listed.get(number) ?? listed.set(number, [letter, []]).get(number);
      row[1].push(...cells.map(placeOf));
    }
    return table('Guests', ['', 'Guest', 'Flavor', 'Status', 'vCPUs', 'Memory', 'Place'], [...listed].map(([number, [letter, places]]) => {
      const [name, uuid, flavor, status, vcpus, memory] = guests[number];
      const button = element('button', {type: 'button', class: 'guest', 'aria-pressed': 'false', 'data-guest': number, title: uuid}, name);
      button.addEventListener('click', () => light(number));
      return [letter, button, texts[flavor], texts[status], String(vcpus), mib(memory), places.join('; ') || 'floats over the whole host'];
    }));
  }

  function cellTable(host) {
    const rows = hosts[host][CELLS].map((cell, row) => {
      const [id, cpus, dedicated, shared, , socket, kind, distances, physnets] = kinds[hosts[host][KIND]][row];
      const sums = cellUse(host, row), pages = [];
      for (let at = 0; at < cell[5].length; at += 5) {
        const [kib, total, used, reserved, held] = cell[5].slice(at, at + 5);
        const rest = [reserved ? `${reserved} reserved` : '', held ? `${held} held` : ''].filter(Boolean).join(', ');
        if (total) pages.push(`${used} of ${total} x ${size(kib)}${rest ? ` (${rest})` : ''}`);
      }
      return [String(id), cpus, dedicated || 'none', shared || 'none', socket < 0 ? 'unknown' : String(socket),
        `${sums.dedicated} in use, ${sums.open} free`, String(cell[1]),
        `${cell[3]} of ${cell[2]} MiB${cell[4] ? `, ${cell[4]} held` : ''}${kind === 'general' ? '' : `, ${kind}`}`,
        pages.join('; ') || 'unknown', distances.map(([other, far]) => `${other}: ${far}`).join(', ') || 'unknown', physnets.join(', ') || 'none'];
    });
    return table('Cells', ['Cell', 'CPUs', 'Dedicated', 'Shared', 'Socket', 'Dedicated CPUs', 'Shared vCPUs', 'Memory used',
      'Pages used', 'Distances', 'Physical networks'], rows);
  }

  /** The cores as a table, which is built when it is opened. */
  function coreTable(host) {
    const made = element('details', {}, element('summary', {}, 'Cores and siblings'));
    made.addEventListener('toggle', () => {
      if (made.children.length > 1) return;
      const owned = owners(host), used = marks(host);
      const word = (cpu) => {
        const symbol = used.get(cpu);
        return 'xo'.includes(symbol) ? `${title(owned.get(cpu)[1])}${symbol === 'o' ? ' (off)' : ''}` : symbols[symbol];
      };
      made.append(table('Cores and siblings', ['Cell', 'CPUs of the core', 'Use'], kinds[hosts[host][KIND]].flatMap(([id, , , , cores]) =>
        cores.map((core) => [String(id), core, numbers(core).map((cpu) => `${cpu}: ${word(cpu)}`).join('; ')]))));
    });
    return made;
  }

  function deviceTable(host) {
    return table('PCI devices', ['Address', 'Device', 'Cell', 'Status', 'Guest'], hosts[host][DEVICES].map(
      ([address, kind, cell, status, guest]) => [address, texts[kind], cell < 0 ? 'unknown' : String(cell), texts[status],
        guest < 0 ? '' : title(guest)]));
  }

  const line = (number) => {
    const [severity, code, text, , guest, subject] = findings[number];
    const who = [texts[subject], guest < 0 ? '' : title(guest)].filter(Boolean).join(', ');
    return element('li', {class: texts[severity]}, `${texts[severity]} ${texts[code]}: ${who ? `${who}: ` : ''}${texts[text]}`);
  };

  /** What a host says to the flavor that is chosen. */
  function answer(host, chosen, box) {
    const [, fault, answers] = flavors[chosen] ?? ['', 'the fleet has no flavors', []];
    if (fault) return box.replaceChildren(element('p', {}, fault));
    if (answers[host] < 0) return box.replaceChildren(element('p', {}, '\u2713 the host takes it'));
    const [filter, ...reasons] = refusals[answers[host]].map((text) => texts[text]);
    return box.replaceChildren(element('p', {}, `\u2715 ${filter} refuses it:`),
      element('ul', {}, ...reasons.map((reason) => element('li', {}, reason))));
  }

  function askFlavor(host) {
    const select = by('flavor').cloneNode(true), box = element('div', {id: 'answer', role: 'status'});
    select.id = 'host-flavor';
    select.value = by('flavor').value;
    select.addEventListener('change', () => {
      by('flavor').value = select.value;
      answer(host, select.value, box);
      later();
    });
    answer(host, select.value, box);
    return section('Does it take a flavor?', element('label', {}, 'Flavor ', select), box);
  }

  function open(host) {
    const [name, , zone, status, state, vcpus, total, used, floating, , devices, domains] = hosts[host];
    opened = host;
    by('host-name').textContent = name;
    const facts = `zone ${texts[zone]}, ${status}, ${state}; ${plural(vcpus, 'vCPU')} in use, ${floating} of them float over the host; ` +
      `${mib(used)} of ${mib(total)} used`;
    const legend = Object.entries(symbols).map(([symbol, words]) => `${symbol}  ${words}`).join('; ');
    const list = (all) => element('ul', {}, ...all);
    by('host-body').replaceChildren(
      element('p', {id: 'facts'}, facts),
      section('CPUs', element('figure', {}, picture(host), element('figcaption', {}, `Letters are guests; ${legend}`)),
        element('p', {id: 'lit-cells', role: 'status'}), coreTable(host)),
      section('Guests', here[host].length ? guestTable(host) : element('p', {}, 'none')),
      section('Cells', cellTable(host)),
      ...devices.length ? [section('PCI devices', deviceTable(host))] : [],
      ...domains.length ? [section('Domains that numaplace does not manage', list(domains.map((domain) => element('li', {}, domain))))] : [],
      section('Findings', found[host].length ? list(found[host].map(line)) : element('p', {}, 'none')),
      askFlavor(host));
    by('host').showModal();
    const wanted = wantedGuests(), first = wanted && here[host].find(([guest]) => wanted.has(guest));
    if (first) light(first[0]);
  }

  // --- start
  function option(value, words) { return element('option', {value}, words); }

  function start() {
    const zones = [...new Set(hosts.map((host) => host[ZONE]))].sort((a, b) => texts[a] < texts[b] ? -1 : 1);
    by('by-zone').append(...zones.map((zone) => option(zone, texts[zone])));
    const of = (place) => [...new Set(findings.map((finding) => texts[finding[place]]))].sort();
    by('by-finding').append(...of(0).map((severity) => option(`severity ${severity}`, `any ${severity}`)),
      ...of(1).map((code) => option(`code ${code}`, code)));
    by('flavor').append(...flavors.map(([name], number) => option(number, name)));
    const sums = {dedicated: 0, shared: 0, open: 0};
    hosts.forEach((_, host) => { for (const kind in sums) sums[kind] += hostUse(host)[kind]; });
    by('totals').textContent = `${plural(hosts.length, 'host')}, ${plural(guests.length, 'guest')}, ${plural(findings.length, 'finding')}; ` +
      `dedicated CPUs: ${sums.dedicated.toLocaleString('en')} in use, ${sums.open.toLocaleString('en')} free; ` +
      `shared CPUs: ${sums.shared.toLocaleString('en')}`;
    const elsewhere = findings.map((finding, number) => [finding[3], number]).filter(([host]) => host < 0);
    by('elsewhere').hidden = !elsewhere.length;
    by('elsewhere').querySelector('ul').append(...elsewhere.map(([, number]) => line(number)));
    by('filter').addEventListener('input', later);
    by('filter').addEventListener('submit', (event) => event.preventDefault());
    by('filter').addEventListener('reset', () => setTimeout(later));
    by('more').addEventListener('click', () => { limit += BATCH; show(); });
    by('hosts').addEventListener('click', (event) => {
      const chosen = event.target.closest('.tile');
      if (chosen) open(Number(chosen.dataset.host));
    });
    show();
  }

  start();
})();
