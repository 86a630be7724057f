// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file report_style.hpp
/// The report's style sheet: light and dark by the reader's own setting, wide and narrow.
#pragma once

namespace drive::detail {

/// A colour always means the same: blue the car, green the cloud, orange the fallback, red what was missed. Energy has colours of its own.
inline constexpr const char* report_style = R"css(
:root{color-scheme:light dark;--page:#f6f5f1;--card:#fff;--ink:#1b1c1e;--soft:#55575b;--faint:#85878c;--grid:#e9e7e1;--edge-line:#d8d5cd;
--edge:#2a72c8;--cloud:#0f8f66;--fallback:#dd7412;--held:#c92f52;--compute:#6a58c4;--radio:#d79c08;--idle:#b9b6ae;
--dark-band:#1b1c1e14;--car-zone:#2a72c80f;--cloud-zone:#0f8f660f;--accent:#0f8f66}
@media(prefers-color-scheme:dark){:root{--page:#131415;--card:#1c1d1f;--ink:#efeeeb;--soft:#b4b4b1;--faint:#86878a;--grid:#2d2e31;--edge-line:#3a3b3f;
--edge:#64a2f0;--cloud:#35bd8f;--fallback:#f29a4a;--held:#f0708e;--compute:#9688ec;--radio:#e3b445;--idle:#67686b;
--dark-band:#ffffff17;--car-zone:#64a2f014;--cloud-zone:#35bd8f14;--accent:#35bd8f}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 -apple-system,"Segoe UI",Roboto,"Liberation Sans",system-ui,sans-serif;
font-variant-numeric:tabular-nums;-webkit-text-size-adjust:100%}
main{max-width:1080px;margin:0 auto;padding:40px 24px 64px}
.over{color:var(--faint);font-size:13px;letter-spacing:.06em;text-transform:uppercase;margin:0 0 10px}
h1{font-size:clamp(25px,4.2vw,40px);line-height:1.17;letter-spacing:-.018em;font-weight:700;margin:0 0 16px;max-width:24em;text-wrap:balance}
.lede{font-size:clamp(16px,1.9vw,18.5px);color:var(--soft);max-width:46em;margin:0 0 26px}
h2{font-size:20px;letter-spacing:-.01em;margin:0 0 4px}
section{background:var(--card);border:1px solid var(--grid);border-radius:14px;padding:24px 24px 20px;margin:18px 0}
section>p{color:var(--soft);margin:0 0 16px;max-width:50em;font-size:15px}
.label{display:inline-block;font-size:11.5px;font-weight:500;line-height:1.5;color:var(--faint);border:1px solid var(--edge-line);border-radius:99px;
padding:0 7px;letter-spacing:.01em;white-space:nowrap;vertical-align:2px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(180px,1fr));gap:12px;margin:0 0 18px}
.tile{background:var(--card);border:1px solid var(--grid);border-radius:14px;padding:16px 18px 14px;display:flex;flex-direction:column;align-items:flex-start}
.tile b{display:block;font-size:30px;line-height:1.15;letter-spacing:-.02em;font-weight:650}
.tile span.label{margin:auto 0 0;font-size:11.5px;line-height:1.5;color:var(--faint)}.tile.good b{color:var(--accent)}.tile.bad b{color:var(--held)}
.tile span{display:block;color:var(--soft);font-size:14px;margin:3px 0 8px;line-height:1.35}
table{border-collapse:collapse;width:100%}
.compare th,.compare td{text-align:left;padding:12px 14px 12px 0;border-top:1px solid var(--grid);vertical-align:top}
.compare thead th{border:0;font-size:13px;font-weight:500;color:var(--soft);padding-top:0;line-height:1.7}
.compare tbody th{font-weight:650;font-size:16px;min-width:120px}
.compare tbody th small,.compare td small{display:block;font-weight:400;color:var(--faint);font-size:13px;line-height:1.4}
.compare td{font-size:15px}.compare td b{font-size:17px;font-weight:650}.bad{color:var(--held)}.zero{color:var(--accent)}
.wide{min-width:206px}
.bar{display:flex;height:14px;gap:2px;margin:5px 0 5px;min-width:150px}.bar i{display:block;height:100%;border-radius:2px;min-width:2px}
.track{display:block}
.b-edge{background:var(--edge)}.b-cloud{background:var(--cloud)}.b-fallback{background:var(--fallback)}.b-held{background:var(--held)}
.b-compute{background:var(--compute)}.b-radio{background:var(--radio)}.b-idle{background:var(--idle)}
.keys{display:flex;flex-wrap:wrap;gap:4px 18px;margin:0 0 12px;padding:0;list-style:none;font-size:13.5px;color:var(--soft)}
.compare+.keys{margin:12px 0 0}.keys li{display:flex;align-items:center;gap:7px}.keys svg{width:16px;height:12px;flex:none;margin:0}
.scroll{overflow-x:auto;overflow-y:hidden}.scroll>svg{display:block;width:100%;height:auto;min-width:720px}
.flow>svg{min-width:min-content}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:18px}.pair section{margin:0}.pair section>svg{display:block;width:100%;height:auto}
.terms{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:0 36px;margin:0}
.terms div{display:flex;justify-content:space-between;gap:18px;border-top:1px solid var(--grid);padding:7px 0;font-size:14.5px}
.terms dt{color:var(--soft)}.terms dd{margin:0;text-align:right;overflow-wrap:anywhere}
.notes{margin:14px 0 0;padding:0 0 0 18px;color:var(--soft);font-size:14px}
footer{color:var(--faint);font-size:13.5px;padding:10px 4px 0}footer p{margin:0 0 6px}
code{font:12.5px/1.5 ui-monospace,"DejaVu Sans Mono",monospace;background:var(--grid);border-radius:5px;padding:2px 6px;color:var(--ink);overflow-wrap:anywhere}
svg text{font-size:12px;fill:var(--soft);font-family:inherit}svg .mid{text-anchor:middle}svg .end{text-anchor:end}
svg .name{font-size:13px;font-weight:650;fill:var(--ink)}svg .strong{fill:var(--ink);font-weight:600}svg .tiny{font-size:11px;fill:var(--faint)}
svg .halo{paint-order:stroke;stroke:var(--card);stroke-width:4px;stroke-linejoin:round}
svg path{fill:none;stroke-linejoin:round}
.grid{stroke:var(--grid)}.base{stroke:var(--edge-line)}.deadline{stroke:var(--ink);stroke-dasharray:5 4;stroke-width:1.3}
.dark{fill:var(--dark-band)}.kill{stroke:var(--held);stroke-width:1.4;stroke-dasharray:2 3}.kill-text{fill:var(--held)}
.dot{stroke-linecap:round;stroke-width:3.6}.s-edge{stroke:var(--edge)}.s-cloud{stroke:var(--cloud)}
svg .m-fallback{fill:var(--fallback)}svg .m-held{stroke:var(--held);stroke-width:1.9;stroke-linecap:round}
svg .a-compute{fill:var(--compute)}svg .a-radio{fill:var(--radio)}svg .a-idle{fill:var(--idle)}
svg .rate{fill:var(--cloud-zone);stroke:none}.rate-line{stroke:var(--cloud);stroke-width:1.7}.estimate{stroke:var(--ink);stroke-width:1.2;stroke-opacity:.75}
.threshold{stroke:var(--fallback);stroke-width:1.5;stroke-dasharray:6 3}
.l-all_edge{stroke:var(--edge);stroke-width:1.8}.l-all_cloud{stroke:var(--cloud);stroke-width:1.8}.l-other{stroke:var(--faint);stroke-width:1.8}
.l-sage{stroke:var(--ink);stroke-width:2.4}svg .lane{fill:var(--grid);stroke:none}.lane-line{stroke:var(--soft);stroke-width:1.2}
.road{stroke:var(--grid);stroke-width:9;stroke-linecap:round}.way{stroke-width:3.2;stroke-linecap:round}
.z-car{fill:var(--car-zone);stroke:var(--edge);stroke-opacity:.35}.z-cloud{fill:var(--cloud-zone);stroke:var(--cloud);stroke-opacity:.35}
.box{fill:var(--card);stroke:var(--edge-line);stroke-width:1.2}.ghost{fill:none;stroke:var(--fallback);stroke-width:1.3;stroke-dasharray:5 4}
.share{fill:var(--grid)}.share-fill{fill:var(--compute)}.arrow{stroke:var(--faint);stroke-width:1.5}svg .head{fill:var(--faint)}
.link{stroke:var(--cloud);stroke-width:2;stroke-dasharray:1 5;stroke-linecap:round}.pill{fill:var(--cloud)}svg .on-pill{fill:var(--card);font-weight:650;font-size:13px}
.back{stroke:var(--fallback);stroke-width:1.4;stroke-dasharray:5 4}svg .back-head{fill:var(--fallback)}
.car-text{fill:var(--edge)}.cloud-text{fill:var(--cloud)}.back-text{fill:var(--fallback)}svg .zone-text{font-weight:650;font-size:12.5px}
@media(max-width:860px){.pair{grid-template-columns:1fr}
.compare thead{display:none}.compare,.compare tbody,.compare tr,.compare th,.compare td{display:block;width:100%}
.compare tr{display:grid;grid-template-columns:1fr 1fr 1fr;grid-auto-flow:dense;gap:2px 14px;border-top:1px solid var(--grid);padding:14px 0}.compare tbody th,.compare .wide{grid-column:1/-1}.compare th,.compare td{border:0;padding:3px 0}
.compare td::before{content:attr(data-name);display:block;font-size:12.5px;color:var(--faint);margin-top:5px}}
@media(max-width:560px){main{padding:26px 14px 48px}section{padding:18px 16px 14px;border-radius:12px}.tiles{grid-template-columns:1fr 1fr}.tile{padding:13px 14px}.tile:last-child:nth-child(odd){grid-column:1/-1}.tile b{font-size:25px}}
@media print{body{background:#fff}section,.tile{break-inside:avoid}}
)css";

} // namespace drive::detail
