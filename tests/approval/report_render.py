#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Opens a drive's report in headless Chromium: it must draw something, fit the window, and load nothing from outside.

    report_render.py --tests build/release/tests/unit_tests     the sample report of the unit tests
    report_render.py --html out/demo/report.html                 any report
    report_render.py --self-test                                 planted errors are found

--keep FOLDER leaves the pictures there. Standard library only. Without Chromium it prints "SKIPPED:" and ends well, unless
SPLITDSL_REQUIRE_BROWSER is set.
"""
import argparse
import http.server
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import zlib

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SAMPLE_TEST = "report: the page has every section and asks for nothing from outside"
SECTIONS = ("comparison", "pipeline", "latency", "rate", "energy", "lane", "distribution", "route", "terms")
VIEWS = (("wide", 1180, 4700, ()), ("narrow", 500, 6200, ()), ("dark", 1180, 4700, ("--blink-settings=preferredColorScheme=0",)))
ALLOWED_SCHEMES = ("file:", "data:", "about:", "blob:", "chrome:", "chrome-extension:")


class Failure(Exception):
    pass


def rows_of(png):
    """The pixel rows of an 8-bit RGB or RGBA picture, without interlacing: what Chromium writes."""
    data = png.read_bytes()
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise Failure(f"{png.name}: expected a PNG, found {data[:8]!r}")
    at, packed, width = 8, b"", 0
    channels = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
            channels = {2: 3, 6: 4}.get(colour, 0)
            if depth != 8 or channels == 0 or interlace:
                raise Failure(f"{png.name}: expected 8-bit RGB or RGBA, found depth {depth}, colour type {colour}")
        elif kind == b"IDAT":
            packed += body
        at += 12 + size
    raw, line = zlib.decompress(packed), width * channels
    before = bytearray(line)
    for start in range(0, len(raw), line + 1):
        method, row = raw[start], bytearray(raw[start + 1:start + 1 + line])
        if method == 1:
            for i in range(channels, line):
                row[i] = (row[i] + row[i - channels]) & 255
        elif method == 2:
            row = bytearray((a + b) & 255 for a, b in zip(row, before))
        elif method == 3:
            for i in range(line):
                row[i] = (row[i] + ((row[i - channels] if i >= channels else 0) + before[i]) // 2) & 255
        elif method == 4:
            for i in range(line):
                a, b, c = row[i - channels] if i >= channels else 0, before[i], before[i - channels] if i >= channels else 0
                pa, pb, pc = abs(b - c), abs(a - c), abs(a + b - 2 * c)
                row[i] = (row[i] + (a if pa <= pb and pa <= pc else b if pb <= pc else c)) & 255
        yield width, channels, row
        before = row


def check_picture(png, dark):
    """Not blank: many colours, ink in most of the page's height, and the background that the colour scheme asks for."""
    colours, busy, height, corner = {}, 0, 0, None
    for width, channels, row in rows_of(png):
        height += 1
        pixels = {bytes(row[i:i + 3]) for i in range(0, width * channels, channels * 2)}
        if corner is None:
            corner = bytes(row[:3])
        busy += len(pixels) > 2
        for p in pixels:
            colours[p] = colours.get(p, 0) + 1
    if len(colours) < 200:
        raise Failure(f"{png.name}: expected a drawn page, found only {len(colours)} colours")
    if busy < 0.4 * height:
        raise Failure(f"{png.name}: expected ink in most of the page, found it in {busy} of {height} rows")
    if (sum(corner) < 384) != dark:
        raise Failure(f"{png.name}: expected a {'dark' if dark else 'light'} page, found {tuple(corner)} in its corner")
    return len(colours), busy, height


def run(browser, folder, url, flags):
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
               "--disable-component-update", "--disable-sync", "--no-default-browser-check", f"--user-data-dir={folder / 'profile'}", *flags, url]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=180, check=False, cwd=folder)
    except subprocess.TimeoutExpired as late:
        raise Failure(f"{browser} did not end within 180 s") from late
    if done.returncode != 0:
        raise Failure(f"{browser} ended with {done.returncode}:\n{done.stderr.decode(errors='replace')[-2000:]}")
    return done.stdout.decode(errors="replace")


def requests_of(browser, folder, html):
    """What the page asks a web server for: it is served from a local one, which writes every request down."""
    asked = []

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = html.read_bytes() if self.path == "/report.html" else b""
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        log = folder / "net.json"
        # Whatever is no loopback address leads nowhere; the log names it all the same.
        run(browser, folder, f"http://127.0.0.1:{server.server_port}/report.html",
            [f"--log-net-log={log}", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--dump-dom"])
        text = log.read_text(errors="replace") if log.exists() else ""
    finally:
        server.shutdown()
        server.server_close()
    # Requests of the page carry the page as their initiator; the browser's own have none.
    own = f"http://127.0.0.1:{server.server_port}"
    for line in text.splitlines():
        try:
            parameters = json.loads(line.strip().rstrip(",")).get("params", {})     # the log has one event a line
        except (ValueError, AttributeError):
            continue
        if parameters.get("initiator") == own and parameters.get("url", own + "/report.html") != own + "/report.html":
            asked.append(parameters["url"])
    return [a for a in asked if a != "/report.html"]


def references_of(text):
    """Addresses in attributes and style sheets that a browser would fetch."""
    found = re.findall(r'(?:src|href|srcset|data|poster|action|xlink:href)\s*=\s*["\']([^"\']+)', text)
    found += re.findall(r'url\(\s*["\']?([^"\')]+)', text) + re.findall(r'@import\s+["\']?([^"\';\s]+)', text)
    return [a for a in found if not a.startswith(ALLOWED_SCHEMES) and not a.startswith("#")]


def check(browser, html, folder, quiet=False):
    text = html.read_text(encoding="utf-8")
    outside = references_of(text)
    if outside:
        raise Failure(f"expected a self-contained page, found references to {outside[:5]}")
    if "<script" in text.lower():
        raise Failure("expected a page without scripts, found one")
    missing = [s for s in SECTIONS if f'id="{s}"' not in text]
    if missing:
        raise Failure(f"expected every section, found none of {missing}")
    asked = requests_of(browser, folder, html)
    if asked:
        raise Failure(f"expected no request but the page's own, found {asked[:5]}")
    for name, width, height, flags in VIEWS:
        png = folder / f"{name}.png"
        run(browser, folder, html.resolve().as_uri(), [f"--screenshot={png}", f"--window-size={width},{height}", "--force-device-scale-factor=0.5", *flags])
        if not png.exists():
            raise Failure(f"{browser} wrote no picture for the {name} view")
        colours, busy, rows = check_picture(png, name == "dark")
        if not quiet:
            print(f"{name}: {width}x{height}, {colours} colours, ink in {busy} of {rows} rows")


def self_test(browser, folder, sample):
    """Each planted error must be found, or the check proves nothing."""
    text = sample.read_text(encoding="utf-8")
    style = text.index("<style>")
    policy = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
    plants = {
        "an image from outside": text.replace("<main>", '<main><img src="http://example.invalid/a.png">', 1),
        "a script": text.replace("<main>", "<main><script>1</script>", 1),
        "a font in the style sheet": text[:style] + "<style>@import 'http://example.invalid/f.css';</style>" + text[style:],
        "a missing section": text.replace('id="route"', 'id="elsewhere"'),
        "a blank page": text.replace("<main>", '<main style="display:none">', 1),
    }
    for name, planted in plants.items():
        if planted == text:
            raise Failure(f"self-test: nothing to plant for {name}")
        file = folder / "planted.html"
        file.write_text(planted, encoding="utf-8")
        try:
            check(browser, file, folder, quiet=True)
        except Failure as found:
            print(f"found: {name} ({str(found).splitlines()[0][:90]})")
            continue
        raise Failure(f"self-test: {name} was not found")
    # The browser's own account sees what the text search could miss.
    for address in ("picture.png", "http://example.invalid/picture.png"):
        (folder / "asks.html").write_text(policy.sub("", text).replace("<main>", f"<main><img src='{address}'>", 1), encoding="utf-8")
        asked = requests_of(browser, folder, folder / "asks.html")
        if not any("picture.png" in a for a in asked):
            raise Failure(f"self-test: the request for {address} was not seen")
        print(f"found: a request for {address}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--html", type=pathlib.Path, help="the report to render")
    parser.add_argument("--tests", type=pathlib.Path, help="unit_tests, which writes the sample report")
    parser.add_argument("--self-test", action="store_true", help="plant errors into the report and expect each to be found")
    parser.add_argument("--keep", type=pathlib.Path, help="leave the pictures in this folder")
    options = parser.parse_args()
    if (options.html is None) == (options.tests is None):
        parser.error("expected one of --html and --tests")
    browser = os.environ.get("SPLITDSL_BROWSER") or next((b for b in map(shutil.which, BROWSERS) if b), None)
    if browser is None:
        print("SKIPPED: no Chromium here (Debian: chromium); the report was NOT rendered", flush=True)
        return 1 if os.environ.get("SPLITDSL_REQUIRE_BROWSER") else 0
    with tempfile.TemporaryDirectory(prefix="report_render_") as temporary:
        folder = pathlib.Path(temporary)
        html = options.html
        try:
            if html is None:
                html = folder / "report.html"
                subprocess.run([str(options.tests.resolve()), SAMPLE_TEST], env={**os.environ, "SPLITDSL_REPORT_SAMPLE": str(html)}, check=True,
                               stdout=subprocess.DEVNULL)
                if not html.exists():
                    raise Failure(f"{options.tests} wrote no sample report: is the test {SAMPLE_TEST!r} still there?")
            if options.self_test:
                self_test(browser, folder, html)
            else:
                check(browser, html, folder)
        except Failure as failure:
            print(f"FAILED: {failure}")
            return 1
        finally:
            if options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                for png in folder.glob("*.png"):
                    shutil.copy(png, options.keep)
    return 0


if __name__ == "__main__":
    sys.exit(main())
