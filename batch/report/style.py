"""The style sheet of the report: light and dark, narrow and wide, and on paper."""

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --page: #fff; --card: #f6f7f9; --text: #1b1f24;
  --quiet: #57606a; --edge: #d0d7de; --mark: #0550ae; --soft: #6e7781; --green: #116329;
  --amber: #7d4e00; --red: #a40e26; --greenish: #dafbe1; --amberish: #fff3cd; --reddish: #ffe3e1; }
@media screen and (prefers-color-scheme: dark) { :root {
  --page: #0d1117; --card: #161b22; --text: #e6edf3;
  --quiet: #a0aab5; --edge: #30363d; --mark: #79c0ff; --soft: #9aa4af; --green: #7ee787;
  --amber: #e9b949; --red: #ffa198; --greenish: #10291a; --amberish: #2e2508; --reddish: #36140f;
  } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 1rem; background: var(--page); color:
  var(--text);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: .5rem 0; } h2 { font-size: 1.15rem; margin: 0 0 .5rem; }
h3 { font-size: 1rem; margin: 1rem 0 .25rem; } p { margin: .4rem 0; } a { color: var(--mark); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; padding: 0; margin:
  .75rem 0;
  font-size: .9rem; } nav a { display: inline-block; padding: .25rem 0; }
.verdict { border-left: .5rem solid; border-radius: .25rem; padding: .75rem 1rem; font-size:
  1.1rem;
  color: var(--text); }
.verdict strong { display: block; } .verdict.green { border-color: var(--green); background:
  var(--greenish); }
.verdict.amber { border-color: var(--amber); background: var(--amberish); }
.verdict.red { border-color: var(--red); background: var(--reddish); }
.green strong, .ok { color: var(--green); } .amber strong { color: var(--amber); }
.red strong, .bad { color: var(--red); font-weight: 600; }
section { background: var(--card); border: 1px solid var(--edge); border-radius: .5rem; padding:
  1rem;
  margin: 1rem 0; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr));
  gap: 1rem 2rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .5rem
  1rem; margin: 0 0 .75rem; }
.facts dt { color: var(--quiet); font-size: .85rem; } .facts dd { margin: 0; font-size: 1.15rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .9rem; }
.scroll:focus-visible { outline: 2px solid var(--mark); }
caption { text-align: left; color: var(--quiet); padding: .25rem 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0;
  border-bottom: 1px solid var(--edge); font-weight: 400; overflow-wrap: break-word; min-width:
  4rem; }
thead th { color: var(--quiet); font-weight: 600; } td.n, th.n { text-align: right; white-space:
  nowrap;
  font-variant-numeric: tabular-nums; }
svg { display: block; width: 100%; max-width: 540px; height: auto; }
svg text { fill: currentColor; font: 12px system-ui, sans-serif; }
.mark { fill: var(--mark); stroke: var(--mark); } .soft { fill: var(--soft); stroke: var(--soft);
  }
rect.mark { stroke: none; } .whisker { stroke-width: 2.5; } .grid { stroke: var(--edge); }
.trend { fill: none; stroke: var(--mark); stroke-width: 2; }
figure { margin: .5rem 0; } figcaption, .quiet { color: var(--quiet); font-size: .9rem; }
ol { padding-left: 1.5rem; margin: .25rem 0; font-size: .9rem; } summary { cursor: pointer;
  padding: .25rem 0; }
code { font-family: ui-monospace, monospace; font-size: .9em; }
@media screen and (max-width: 600px) { .scroll th, .scroll td { min-width: 4.75rem;
  overflow-wrap: anywhere; } .scroll .n, .scroll .cards th, .scroll .cards td { min-width: 0; }
  table.cards, .cards tbody, .cards caption, .cards tr { display: block; }
  .cards thead { position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); }
  .cards tr { padding: .3rem 0; border-bottom: 1px solid var(--edge); }
  .cards tbody th { display: block; border: 0; font-weight: 600; padding: 0; }
  .cards td, .cards td.n { display: grid; grid-template-columns: 8.5rem minmax(0, 1fr); gap: .75rem;
  border: 0; padding: .05rem 0; text-align: left; white-space: normal; overflow-wrap: anywhere; }
  .cards td::before { content: attr(data-label); color: var(--quiet); } }
@media print { :root { color-scheme: light; --page: #fff; --card: #fff; --text: #000;
  --quiet: #333; } th, td { min-width: 0; } nav { display: none; }
  body { max-width: none; font-size: 11pt; } section { border: 0; border-top: 1px solid #999;
  border-radius: 0;
  padding: .5rem 0; } figure, tr { break-inside: avoid; } .scroll { overflow: visible; } }
"""
