"""The README's table of figures, made from the results files.

python -m benchmarks.tables          # write it into README.md
python -m benchmarks.tables --check  # exit with 1 if README.md says something else
"""

import sys
from pathlib import Path

from benchmarks import record

README = Path(__file__).parent.parent / "README.md"
START, END = "<!-- figures -->", "<!-- /figures -->"


def table() -> str:
    """The table, with the machine and the commands that made it."""
    speed, server = record.read("speed"), record.read("server")
    lines = ["| all-MiniLM-L6-v2 | embed-onnx | sentence-transformers, PyTorch | ratio (least to greatest) |"]
    lines.append("| --- | --- | --- | --- |")
    for name, row in speed["results"]["rows"].items():
        what, _, unit = name.partition(", ")
        ratio = f"{row['ratio']:.1f} ({row['ratio_min']:.1f} to {row['ratio_max']:.1f})"
        lines.append(
            f"| {what} | {_figure(row['embed_onnx'], unit)} | {_figure(row['pytorch'], unit)} | {ratio} |"
        )
    fidelity = speed["results"]["fidelity"]
    lines.append(f"| model file | {fidelity['mb']} MB | {fidelity['mb_float32']} MB | |")
    cosines = f"{fidelity['cosine_mean']:.4f} ({fidelity['cosine_min']:.4f} at the least)"
    lines.append(
        f"| cosine to float32, {fidelity['texts']} sentences of `embed-onnx export` | {cosines} | 1 | |"
    )
    for name, value in server["results"].items():
        lines.append(f"| server: {name} | {value} | | |")
    machine = speed["machine"]
    lines.append("")
    lines.append(
        f"Medians on {machine['cores']} cores of a shared {machine['cpu']} machine "
        f"({', '.join(machine['instructions'])}), both sides in turns in one run: "
        f"`{speed['command']}` and `{server['command']}`; raw results in `benchmarks/results/`."
    )
    return "\n".join(lines)


def main() -> None:
    """Write the table into the README, or check it."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    new = f"{before}{START}\n{table()}\n{END}{after}"
    if "--check" in sys.argv[1:]:
        sys.exit(
            0 if new == text else "README.md is not what the results say; run python -m benchmarks.tables"
        )
    README.write_text(new, encoding="utf-8")


def _figure(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"


if __name__ == "__main__":
    main()
