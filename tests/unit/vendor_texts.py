"""Reports of vendor tools, written by us after the layouts of their releases.

No line here came out of a tool: headers, columns and sections follow what releases 2018.2 to
2025.1 print, the numbers are ours. One set of real reports is tested beside them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

VERSIONS = ("2018.2", "2020.1", "2020.2", "2022.1", "2023.1", "2024.1", "2025.1")
PART = "xcvu13p-flga2577-2-e"
VU13P = {"luts": 1_728_000, "ffs": 3_456_000, "brams": 5_376, "dsps": 12_288, "urams": 1_280}
USED = {"luts": 1526, "ffs": 2428, "brams": 3, "dsps": 66, "urams": 0}


def newer(version: str, than: str) -> bool:
    return version >= than


def device(version: str, part: str = PART) -> str:
    """The part as a release writes it: since 2022 with hyphens and the temperature grade."""
    if newer(version, "2022.1"):
        return part
    *name, speed, _ = part.split("-")
    return "".join(name) + f"-{speed}"


def grid(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    cells = [[str(c) for c in row] for row in (columns, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    rule = "+" + "+".join("-" * (w + 2) for w in widths) + "+"
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) + " |" for r in cells
    ]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule]) + "\n"


def vivado_head(version: str, command: str, design: str, state: str, part: str = PART) -> str:
    facts = [
        ("Tool Version", f"Vivado v.{version} (lin64) Build 1234567 Thu Jan 1 00:00:00 MST"),
        ("Date", "Thu Jan  1 00:00:00 2026"),
        ("Host", "written by us, after the layout"),
        ("Command", command),
        ("Design", design),
        ("Device", device(version, part)),
        *([("Speed File", "-2")] if newer(version, "2022.1") else []),
        *([("Design State", state)] if state else []),
    ]
    rule = "-" * 90 + "\n"
    width = max(len(k) for k, _ in facts)
    return (
        "Copyright 1986-2026 Xilinx, Inc. All Rights Reserved.\n"
        + rule
        + "".join(f"| {k.ljust(width)} : {v}\n" for k, v in facts)
        + rule
    )


def utilisation(
    version: str = "2023.1",
    state: str = "Synthesized",
    used: Mapping[str, float] = USED,
    available: Mapping[str, float] = VU13P,
    design: str = "trigger",
    part: str = PART,
    series7: bool = False,
    command: str = "report_utilization -file vivado.rpt",
) -> str:
    """A flat utilisation report: columns, section numbers and names as that release has them."""
    prohibited = newer(version, "2021.1")
    columns = [
        "Site Type",
        "Used",
        "Fixed",
        *(["Prohibited"] if prohibited else []),
        "Available",
        "Util%",
    ]
    placed = state != "Synthesized"
    n = iter(range(1, 20))

    def row(label: str, name: str, each: float = 1) -> list[object]:
        have, room = used[name] / each, available[name] / each
        percent = f"{100 * have / room:.2f}" if have / room > 1e-4 or not have else "<0.01"
        return [label, f"{have:.10g}", 0, *([0] if prohibited else []), f"{room:.10g}", percent]

    def section(title: str, rows: Sequence[Sequence[object]], cols: Sequence[str] = columns) -> str:
        head = f"{next(n)}. {title}"
        return f"\n{head}\n{'-' * len(head)}\n\n{grid(cols, rows)}\n"

    logic, memory, arithmetic = (
        ("Slice", "Memory", "DSP") if series7 else ("CLB", "BLOCKRAM", "ARITHMETIC")
    )
    star = "" if placed else "*"
    blank: list[object] = [0, *([0] if prohibited else []), "", ""]
    text = vivado_head(version, command, design, state, part) + "\nUtilization Design Information\n"
    text += section(
        f"{logic} Logic",
        [
            row(f"{logic} LUTs{star}", "luts"),
            ["  LUT as Logic", 11, *blank],
            ["    LUT as Shift Register", 5, *blank],
            row(f"{logic} Registers", "ffs"),
            ["  Register as Flip Flop", 7, *blank],
        ],
    )
    if placed:  # sections shift
        text += section(f"{logic} Logic Distribution", [[logic, 9, 0, *blank[1:-2], 999, 0.9]])
    rams: list[list[object]] = [row("Block RAM Tile", "brams", 2), ["  RAMB36/FIFO*", 1, *blank]]
    if not series7:
        rams.append(row("URAM", "urams"))
    text += section(memory, rams)
    text += section(arithmetic, [row("DSPs", "dsps"), ["  DSP48E2 only", 66, *blank]])
    if placed and not series7:
        slrs = ["Site Type", "SLR0", "SLR1", "SLR0 %", "SLR1 %"]
        text += section("SLR CLB Logic", [["CLB LUTs", 4, 5, 0, 0], ["DSPs", 1, 2, 0, 0]], slrs)
    return text + section("Primitives", [["LUT3", 671, "LUT"]], ["Ref Name", "Used", "Category"])


def hierarchy(version: str = "2023.1", state: str = "Routed", design: str = "trigger") -> str:
    """A utilisation report by hierarchy."""
    dsps = "DSP Blocks" if newer(version, "2020.1") else "DSP48 Blocks"
    columns = ["Instance", "Module", "Total LUTs", "Logic LUTs", "LUTRAMs", "SRLs", "FFs"]
    columns += ["RAMB36", "RAMB18", "URAM", dsps]
    rows = [
        [design, "(top)", "1526(0.09%)", 1478, 0, 48, 2428, 1, 1, 0, 66],
        ["  stage_1", "trigger_stage_1", 700, 700, 0, 0, 1000, 0, 0, 0, 33],
    ]
    head = vivado_head(version, "report_utilization -hierarchical -file u.rpt", design, state)
    title = "\nUtilization Design Information\n\n1. Utilization by Hierarchy\n\n"
    return head + title + grid(columns, rows)


_SETUP = "WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints"
_PULSE = "WPWS(ns)     TPWS(ns)  TPWS Failing Endpoints  TPWS Total Endpoints"
_PULSES = "2.225        0.000                       0                   245"
_NETS = {"Synthesized": "unplaced", "Fully Placed": "estimated"}
_ENDS = "        0.000                      0                  420"
_HOLD = "WHS(ns)      THS(ns)  THS Failing Endpoints  THS Total Endpoints"


def timing(
    version: str = "2023.1",
    slack: float | None = 1.406,
    period: float = 5.0,
    hold: float = 0.043,
    state: str = "Routed",
    clock: str = "ap_clk",
    design: str = "trigger",
    part: str = PART,
    paths: bool = True,
) -> str:
    """A timing summary of one clock; None: the clock has no setup path."""
    stated = state if newer(version, "2023.1") else ""
    *parts, grade, temperature = part.split("-")
    head = vivado_head(version, "report_timing_summary -file t.rpt", design, stated, part)
    head = "".join(x for x in head.splitlines(True) if "Speed File" not in x)
    head = head.replace(f": {device(version, part)}\n", f": {'-'.join(parts)}\n")
    speed = f"| Speed File   : -{grade}  PRODUCTION 1.27 02-28-2020\n"
    if newer(version, "2021.1"):
        speed += f"| Temperature Grade : {temperature.upper()}\n"
    head = re.sub(r"(\| Device .*\n)", rf"\g<1>{speed}", head)
    rule = "-" * 90 + "\n"

    def section(title: str, body: str) -> str:
        return f"{rule}| {title}\n| {'-' * len(title)}\n{rule}\n{body}\n\n"

    names, mhz = f"{_SETUP}      {_HOLD}     {_PULSE}", 1000 / period
    dashes = _ruler(names)
    setup = "" if slack is None else f"{slack:7.3f}{_ENDS}"
    values = f"{setup:<{len(_SETUP)}}      {hold:7.3f}{_ENDS}        {_PULSES}"
    met = "All user specified timing constraints are met."
    if slack is None or slack < 0 or hold < 0:
        met = "Timing constraints are not met."
    return (
        f"{head}\nTiming Summary Report\n\n"
        + section("Timer Settings", "  Enable Multi Corner Analysis               :  Yes")
        + section(
            "Design Timing Summary", f"    {names}  \n    {dashes}  \n    {values}  \n\n\n{met}"
        )
        + section(
            "Clock Summary",
            "Clock   Waveform(ns)         Period(ns)      Frequency(MHz)\n"
            "-----   ------------         ----------      --------------\n"
            f"{clock}  {{0.000 {period / 2:.3f}}}        {period:.3f}           {mhz:.3f}",
        )
        + section(
            "Intra Clock Table",
            f"Clock             {names}  \n-----             {dashes}  \n{clock:<18}{values}  ",
        )
        + section("Inter Clock Table", "From Clock    To Clock")
        + section("Timing Details", _path(_NETS.get(state, "routed")) if paths else "")
    )


def _path(net: str) -> str:
    """Two lines of a path: its clock's net, and a net in the state that the design is in."""
    return (
        "Max Delay Paths\n                         net (fo=244, unset)          0.037     0.037\n"
        f"                         net (fo=88, {net})          0.703     0.834    a/b"
    )


def _ruler(names: str) -> str:
    """Dashes under names that two spaces or more separate."""
    return re.sub(r"\S+(?: \S+)*", lambda m: "-" * len(m[0]), names)


def csynth_xml(
    version: str = "2023.1",
    used: Mapping[str, float] = USED,
    available: Mapping[str, float] = VU13P,
    top: str = "trigger",
    part: str = PART,
    period: float = 5.0,
    estimated: float = 4.049,
    latency: tuple[object, object] = (10, 10),
    interval: tuple[object, object] = (1, 1),
) -> str:
    """``<top>_csynth.xml`` of Vivado HLS (to 2020.1) or Vitis HLS."""
    dsp = "DSP" if newer(version, "2020.2") else "DSP48E"
    tags = {"brams": "BRAM_18K", "dsps": dsp, "ffs": "FF", "luts": "LUT", "urams": "URAM"}

    def numbers(given: Mapping[str, float]) -> str:
        return "".join(f"<{t}>{given[n]:.10g}</{t}>\n" for n, t in tags.items())

    return f"""<?xml version="1.0" encoding="UTF-8"?>
<profile>
<!-- written by us, after the layout -->
<ReportVersion><Version>{version}</Version></ReportVersion>
<UserAssignments><unit>ns</unit><Part>{part}</Part><TopModelName>{top}</TopModelName>
<TargetClockPeriod>{period:.2f}</TargetClockPeriod><ClockUncertainty>0.62</ClockUncertainty>
</UserAssignments>
<PerformanceEstimates>
<PipelineType>pipeline</PipelineType>
<SummaryOfTimingAnalysis><unit>ns</unit>
<EstimatedClockPeriod>{estimated:.3f}</EstimatedClockPeriod></SummaryOfTimingAnalysis>
<SummaryOfOverallLatency><unit>clock cycles</unit>
<Best-caseLatency>{latency[0]}</Best-caseLatency>
<Average-caseLatency>{latency[0]}</Average-caseLatency>
<Worst-caseLatency>{latency[1]}</Worst-caseLatency>
<Interval-min>{interval[0]}</Interval-min>
<Interval-max>{interval[1]}</Interval-max>
</SummaryOfOverallLatency>
</PerformanceEstimates>
<AreaEstimates>
<Resources>
{numbers(used)}</Resources>
<AvailableResources>
{numbers(available)}</AvailableResources>
</AreaEstimates>
</profile>
"""


def csynth_rpt(version: str = "2023.1", top: str = "trigger", latency: object = 10) -> str:
    """``<top>_csynth.rpt``; before 2020 without units and absolute latencies."""
    tool = "Vitis" if newer(version, "2020.2") else "Vivado"
    dsp = "DSP" if newer(version, "2020.2") else "DSP48E"
    unit = " ns" if newer(version, "2020.1") else ""
    clock = grid(
        ["Clock", "Target", "Estimated", "Uncertainty"],
        [["ap_clk", f"5.00{unit}", f"4.049{unit}", f"0.62{unit}"]],
    )
    absolute = ["min", "max"] if unit else []
    cells = grid(
        ["min", "max", *absolute, "min", "max", "Type"],
        [[latency, latency, *("50.000 ns" for _ in absolute), 1, 1, "yes"]],
    )
    titles = "|  Latency (cycles) |  Latency (absolute) |  Interval | Pipeline|"
    rule, *rest = cells.splitlines()
    summary = "\n".join([rule, titles, *rest])
    use = grid(
        ["Name", "BRAM_18K", dsp, "FF", "LUT", "URAM"],
        [
            ["Expression", "-", "-", 0, 2, "-"],
            ["Total", 3, 66, 2428, 1526, 0],
            ["Available SLR", 1344, 3072, 864000, 432000, 320],
            ["Available", 5376, 12288, 3456000, 1728000, 1280],
            ["Utilization (%)", "~0", "~0", "~0", "~0", 0],
        ],
    )
    bar = "=" * 64
    return (
        f"\n\n{bar}\n== {tool} HLS Report for '{top}'\n{bar}\n* Date:           Thu Jan  1 2026\n\n"
        f"* Version:        {version} (Build 1234567 on Jan 1 2026)\n* Project:        vitis\n"
        f"* Product family: virtexuplus\n* Target device:  {PART}\n\n"
        f"+ Timing: \n    * Summary: \n{clock}\n+ Latency: \n    * Summary: \n{summary}\n\n"
        f"== Utilization Estimates\n* Summary: \n{use}\n"
    )


def cosim(
    version: str = "2023.1",
    status: str = "Pass",
    latency: tuple[object, object] = (10, 10),
    interval: tuple[object, object] = (1, 1),
) -> str:
    """``<top>_cosim.rpt``; newer releases have a column of the whole run's time."""
    more = "   Total Execution Time |" if newer(version, "2022.1") else ""
    rule = "+----------+----------+-----------+-----------+"
    verilog = [status, latency[0], latency[0], latency[1], interval[0], interval[0], interval[1]]
    cells = "|".join(f"{c!s:>8}" for c in ("Verilog", *verilog))
    blank = "|".join(f"{c!s:>8}" for c in ("VHDL", *["NA"] * 7))
    end = f"|{'99':>8}|" if more else "|"
    return (
        "Report time       : Thu Jan 1 2026.\nSolution          : written by us.\n"
        f"Simulation tool   : xsim.\n\n{rule}\n"
        f"|          |          |     Latency(Clock Cycles)   |     Interval          |{more}\n"
        f"+   RTL    +  Status  {rule}\n"
        f"|          |          |{'  min  |  avg  |  max  |' * 2}{'    |' if more else ''}\n"
        f"{rule}\n|{blank}{end.replace('99', 'NA')}\n|{cells}{end}\n{rule}\n"
    )
