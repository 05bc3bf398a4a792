"""The inside of the look at a figure: source that runs in the code sandbox around plotting code."""

from __future__ import annotations

INCHES, DPI = (4, 3), 80
WIDTH, HEIGHT = INCHES[0] * DPI, INCHES[1] * DPI
"""Pixels of every figure, whatever size the code asks for, so that two can be compared."""

MARKS = 1000
"""Of a figure with more nothing counts, so that what is not looked at is no place to hide in."""
SHEETS = 12
"""Axes of a figure; more are not looked at."""
VERTICES = 500
"""Of a line or a cloud; more are not looked at."""

REMEMBER = """
_figures_closed = []

def _figures_remembered():
    from matplotlib.backend_bases import FigureManagerBase

    def destroy(manager):
        _figures_closed[:] = [manager.canvas.figure]

    FigureManagerBase.destroy = destroy

_figures_remembered()
"""
"""Run before the code: figures are closed one after the other, the active one last."""

DESCRIBE = f"""
def _figure_described():
    import json
    import matplotlib.pyplot as plt
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import Collection, PathCollection
    from matplotlib.colors import to_hex
    from matplotlib.container import BarContainer
    from matplotlib.category import StrCategoryFormatter
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch, Wedge
    from matplotlib.ticker import FixedFormatter, FuncFormatter

    def numbers(axis, values, step=0):
        sign = -1 if axis.get_inverted() else 1
        exact = np.asarray(values, float)
        exact = step * np.round(exact / step) if step else exact
        return [sign * float(f'{{value:.9g}}') for value in exact]

    def pixel(axis):
        # What a pixel is worth, 0 where that differs.
        low, high = axis.get_view_interval()
        pixels = axis.axes.bbox.width if axis.axis_name == 'x' else axis.axes.bbox.height
        return float(abs(high - low) / max(pixels, 1)) if axis.get_scale() == 'linear' else 0.0

    def heights(axis, values):
        # To the pixel, as they are read.
        return numbers(axis, values, pixel(axis))

    def places(axis, values, grouped=False):
        words = {{}}
        if isinstance(axis.get_major_formatter(), (FixedFormatter, FuncFormatter, StrCategoryFormatter)):
            ticks = zip(axis.get_majorticklocs(), axis.get_majorticklabels())
            words = {{round(float(place), 6): word.get_text()[:200] for place, word in ticks}}
        keys, own = [round(value, 6) for value in values], numbers(axis, values)
        if grouped and not all(word == f'{{tick:g}}' for tick, word in words.items()):
            return groups(words, keys, own)
        return [words.get(key) or number for key, number in zip(keys, own)]

    def groups(words, keys, own):
        # Bars beside one tick have its word, and their place among themselves.
        steps = np.diff(sorted(words))
        reach = steps.min() / 2 if len(steps) else 0.5
        nearest = [min(words, key=lambda tick: abs(tick - key)) for key in keys]
        found = [words[tick] if abs(tick - key) < reach else '' for tick, key in zip(nearest, keys)]
        among = {{word: sorted({{key for key, one in zip(keys, found) if one == word}}) for word in found}}
        return [number if not word else f'{{word}} {{among[word].index(key)}}' if among[word][1:] else word
                for word, key, number in zip(found, keys, own)]

    def colour_of(one):
        # A line's, or its markers' where there is none; of what has a face that, else its edge.
        if not isinstance(one, Line2D):
            face, edge = (np.reshape(part, (-1, 4)) for part in (one.get_facecolor(), one.get_edgecolor()))
            return (*(face if face[:, 3:].any() else edge), 'none')[0]
        if one.get_linestyle() not in ('None', ' ', ''):
            return one.get_color()
        hollow = str(one.get_markerfacecolor()) == 'none'
        return one.get_markeredgecolor() if hollow else one.get_markerfacecolor()

    def entries(legend, place):
        return [[place, word.get_text()[:200], to_hex(colour_of(handle))]
                for word, handle in zip(legend.get_texts()[:50], legend.legend_handles)
                if isinstance(handle, (Collection, Line2D, Patch))]

    def beside(axes, wedge):
        # The words of a sector nearest to its middle, outside before within; no shares, no numbers within.
        found = []
        for text in axes.texts[:50]:
            (x, y), word = np.subtract(text.get_position(), wedge.center), text.get_text().strip()[:200]
            turn = (np.degrees(np.arctan2(y, x)) - (wedge.theta1 + wedge.theta2) / 2 + 180) % 360 - 180
            outside = bool(np.hypot(x, y) >= wedge.r)
            value = word.endswith('%') or (word.replace('.', '').isdigit() and not outside)
            if text.get_visible() and 2 * abs(turn) <= wedge.theta2 - wedge.theta1 and not value:
                found.append((round(abs(turn)), not outside, word))
        return min(found)[2] if found else ''

    def inside(axes, x, y):
        (left, right), (low, high) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
        return [left <= one <= right and low <= other <= high for one, other in zip(x, y)]

    def near(axes, x, y, size=0):
        # 7 x 7 pixels or the whole mark, but none so large that others would be taken for it.
        column, row = axes.transData.transform((x, y))
        column, row = int(column), {HEIGHT} - 1 - int(row)
        reach = size / 2 * {DPI} / 72 + 2
        reach = int(reach) if 3 < reach < {HEIGHT} / 8 else 3
        return (slice(max(row - reach, 0), max(row + reach + 1, 0)),
                slice(max(column - reach, 0), max(column + reach + 1, 0)))

    def middles(axes, xy):
        # Of the pieces of a line that are inside.
        middle = (xy[1:] + xy[:-1]) / 2
        seen = zip(middle, inside(axes, *middle.T))
        return [near(axes, x, y) for (x, y), kept in seen if kept] or [everywhere]

    def points(axes, one, xy, colours, sizes):
        # Sizes are of a whole mark, in points.
        return [(axes, 'scatter', one, [x], [y], colour, near(axes, x, y, size))
                for (x, y), colour, size, kept in zip(xy, colours, sizes, inside(axes, *xy.T)) if kept]

    def marks(axes):
        for line in axes.lines:
            xy = np.asarray(line.get_xydata(), float)[:{VERTICES}]
            if line.get_transform() != axes.transData:
                # Where it is seen.
                xy = axes.transData.inverted().transform(line.get_transform().transform(xy))
            drawn = line.get_linestyle() not in ('None', ' ', '') and line.get_linewidth() > 0 and len(xy) > 1
            kept = np.array(inside(axes, *xy.T), bool)
            if drawn and 2 * kept.sum() >= len(xy):
                yield axes, 'line', line, *xy[kept].T, line.get_color(), middles(axes, xy)
            elif not drawn and line.get_marker() not in ('None', ' ', '', None):
                colours, sizes = [colour_of(line)] * len(xy), [line.get_markersize()] * len(xy)
                yield from points(axes, line, xy, colours, sizes)
        for one in axes.containers:
            for bar in one.patches if isinstance(one, BarContainer) else ():
                box, flat = bar.get_bbox(), one.orientation == 'horizontal'
                x, y = (box.x1, sum(box.intervaly) / 2) if flat else (sum(box.intervalx) / 2, box.y1)
                if all(inside(axes, [x], [y])):
                    kind, end = 'barh' if flat else 'bar', near(axes, x, y)
                    yield axes, kind, bar, [x], [y], bar.get_facecolor(), end
        for one in axes.collections:
            if isinstance(one, PathCollection) and len(one.get_offsets()):
                colours = one.get_facecolor() if len(one.get_facecolor()) else one.get_edgecolor()
                xy = np.ma.filled(one.get_offsets().astype(float), np.nan)[:{VERTICES}]
                sizes = np.sqrt(np.resize(one.get_sizes(), len(xy)))
                yield from points(axes, one, xy, np.resize(colours, (len(xy), 4)), sizes)
        for one in axes.patches:
            if isinstance(one, Wedge):
                turn = one.theta2 - one.theta1
                yield axes, 'pie', one, [beside(axes, one)], [turn], one.get_facecolor(), everywhere

    def drawn():
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].astype(int)

    def show(artists, visible):
        for one in artists:
            one.set_visible(visible)

    def paint(one, number):
        colour = to_hex([number // 65536 / 255, number // 256 % 256 / 255, number % 256 / 255])
        one.set(alpha=None, antialiased=False, path_effects=[])
        if isinstance(one, Line2D):
            hollow = str(one.get_markerfacecolor()) == 'none'
            one.set(color=colour, markeredgecolor=colour, markerfacecolor='none' if hollow else colour)
            if hollow:
                # Edges of markers are smoothed all the same, and thin ones have nowhere the whole colour.
                one.set_markeredgewidth(one.get_markeredgewidth() + 2)
            return
        if isinstance(one, PathCollection):
            one.set_array(None)
        face, edge = (np.reshape(part, (-1, 4)) for part in (one.get_facecolor(), one.get_edgecolor()))
        face, edge = (colour if part[:, 3:].any() else 'none' for part in (face, edge))
        one.set(facecolor=face, edgecolor=edge)

    def shown(found):
        # What the marks change, with all that is drawn and alone; and which of them is uppermost where. Bars
        # and points are looked for where they are read, bars at their ends, lines at half of their pieces.
        artists = {{one for _, _, one, *_ in found}}
        apart = artists | {{*figure.axes, *figure.subfigs}}
        rest = [one for part in (figure, *figure.subfigs, *figure.axes) for one in part.get_children()
                if one is not part.patch and one not in apart]
        whole = drawn()
        show(artists, False)
        seen = abs(whole - drawn()).max(2) > 12
        show(rest, False)
        sheet = drawn()
        show(artists, True)
        alone = abs(drawn() - sheet).max(2) > 12
        # Points may lie on each other, and all of them have one number; other marks have one each.
        keys = [axes if kind == 'scatter' else one for axes, kind, one, *_ in found]
        numbered = {{key: number for number, key in enumerate(dict.fromkeys(keys), 1)}}
        for key, (_, _, one, *_) in zip(keys, found):
            paint(one, numbered[key])
        top = drawn() @ [65536, 256, 1]
        for key, mark in zip(keys, found):
            spots, hits = mark[-1] if isinstance(mark[-1], list) else [mark[-1]], 0
            for spot in spots:
                own = alone[spot] & (top[spot] == numbered[key])
                hits += bool(own.any() and 2 * (own & seen[spot]).sum() >= own.sum())
            if 2 * hits >= len(spots):
                yield mark

    figure = plt.gcf() if plt.get_fignums() or not _figures_closed else _figures_closed[-1]
    figure.set_size_inches{INCHES}
    for engine in ('constrained', 'tight', 'none'):
        try:
            figure.set_layout_engine(engine)
            figure.savefig('out.png', dpi={DPI})
            break
        except (RuntimeError, ZeroDivisionError):  # a colour bar that another engine has placed
            continue
    sheets = [one for one in figure.axes if one.get_visible()][:{SHEETS}]
    texts = []
    for axes in sheets:
        texts += [axes.get_title(), axes.get_xlabel(), axes.get_ylabel()]
        texts += [one.get_text() for one in axes.texts[:50]]
        for axis in (axes.xaxis, axes.yaxis):
            words = [one.get_text() for one in axis.get_ticklabels()[:50]]
            texts += [word for word in words if not word[-1:].isdigit()]
    legends = [(axes.get_legend(), place) for place, axes in enumerate(sheets)]
    legends = [one for one in legends if one[0]] + [(legend, -1) for legend in figure.legends]
    texts += [one.get_text() for legend, _ in legends for one in legend.get_texts()]
    called = [entry for one in legends for entry in entries(*one)]
    figure.set_layout_engine('none')
    figure.dpi = {DPI}
    canvas, everywhere = FigureCanvasAgg(figure), (slice(None), slice(None))
    drawings = [mark for axes in sheets for mark in marks(axes) if mark[2].get_visible()]
    if len(drawings) > {MARKS}:
        raise ValueError('more than {MARKS} marks')
    uncovered = list(shown(drawings))
    found = {{}}
    for axes, kind, one, x, y, colour, _ in uncovered or drawings:
        series = found.setdefault((axes, kind, one if kind == 'line' else None), ([], [], [], []))
        series[0].extend(x)
        series[1].extend(y)
        series[2].extend([to_hex(colour)] * len(y))
        series[3].extend([one.get_x() if kind == 'barh' else one.get_y() if kind == 'bar' else 0] * len(y))
    series = []
    for (axes, kind, _), (x, y, colours, starts) in found.items():
        steps = [0.0, 0.0] if kind == 'pie' else [pixel(axes.xaxis), pixel(axes.yaxis)]
        if kind == 'barh':
            steps = steps[::-1]
            x, y, starts = places(axes.yaxis, y, True), heights(axes.xaxis, x), heights(axes.xaxis, starts)
        elif kind != 'pie':
            x = places(axes.xaxis, x, kind == 'bar')
            y, starts = heights(axes.yaxis, y), heights(axes.yaxis, starts)
        series.append([sheets.index(axes), kind, x, y, colours, starts, steps])
    return json.dumps([series, [text for text in texts if text], not uncovered, called])
"""
