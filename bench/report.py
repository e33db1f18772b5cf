# SPDX-License-Identifier: Apache-2.0
"""From samples to the table: medians, and ratios taken inside each round, so that a busy minute counts for all or for none."""
import json
import os
import platform
import statistics
import time

COLUMNS = ["weir", "HAProxy", "nginx", "Envoy", "floor"]
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def spread(values, digits):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


class Samples:
    """What was measured: row → candidate → one value a round, or why there is none."""

    def __init__(self):
        self.rows, self.titles, self.void = {}, {}, {}

    def add(self, row, title, unit, candidate, round_, value):
        self.titles[row] = (title, unit)
        self.rows.setdefault(row, {}).setdefault(candidate, {})[round_] = value

    def fail(self, row, title, unit, candidate, why):
        self.titles[row] = (title, unit)
        self.rows.setdefault(row, {})
        self.void.setdefault((row, candidate), why)

    def ratios(self, row, candidate, to="HAProxy"):
        base, own = self.rows[row].get(to, {}), self.rows[row].get(candidate, {})
        return [own[r] / base[r] for r in sorted(own) if base.get(r)]

    def cell(self, row, candidate, missing):
        if candidate in missing:
            return "not here"
        if (row, candidate) in self.void:
            return "void: " + self.void[row, candidate]
        own = self.rows[row].get(candidate)
        if not own:
            return "–"
        unit = self.titles[row][1]
        if unit == "µs added":
            return spread(list(own.values()), 0)
        middle = f"{statistics.median(own.values()):.{0 if unit == 'ms' else 1}f}"
        ratios = self.ratios(row, candidate)
        return f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f}–{max(ratios):.2f}) {middle}" if ratios else middle


def machine():
    with open("/proc/cpuinfo") as text:
        model = next((line.split(":", 1)[1].strip() for line in text if line.startswith("model name")), "unknown CPU")
    return f"{os.cpu_count()} × {model}, Linux {platform.release().split('-')[0]}"


def markdown(samples, missing, versions, command, rounds):
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    lines = [f"`{command}`, {when}, {rounds} rounds, {machine()}. {', '.join(versions)}.", "",
             "| work | unit | " + " | ".join(COLUMNS) + " |", "|---|---" * 1 + "|---" * len(COLUMNS) + "|"]
    for row, (title, unit) in samples.titles.items():
        lines.append(f"| {title} | {unit} | " + " | ".join(samples.cell(row, c, missing) for c in COLUMNS) + " |")
    lines += ["", *(f"{name}: {why}." for name, why in missing.items())]
    return "\n".join(lines).rstrip() + "\n"


def as_json(samples, missing, versions, command, rounds):
    rows = [{"row": row, "title": title, "unit": unit, "samples": {c: list(v.values()) for c, v in samples.rows[row].items()},
             "ratio_to_haproxy": {c: statistics.median(r) for c in samples.rows[row] if (r := samples.ratios(row, c))},
             "void": {c: why for (r, c), why in samples.void.items() if r == row}} for row, (title, unit) in samples.titles.items()]
    return json.dumps({"command": command, "rounds": rounds, "machine": machine(), "versions": versions, "missing": missing, "rows": rows}, indent=1, ensure_ascii=False)


def update(path, text):
    """Puts the table between the two marker comments of a page."""
    page = path.read_text()
    begin, end = page.index(BEGIN) + len(BEGIN), page.index(END)
    path.write_text(page[:begin] + "\n" + text + page[end:])
