//! The drill with the line dropped after a keystroke, any of them: what had been answered holds on the board, also after
//! the daemon was killed and started anew; what was not typed to the end of its line has not happened.

use anyhow::{Result, ensure};

use super::board::Board;
use super::drill::{self, Step};
use super::line::Line;
use super::terminal::{Lines, Pace, Terminal};
use crate::bench::{Bench, Op, Row, Sink};

const GROUP: &str = "cuts";

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let steps = drill::steps();
    let keys: usize = steps.iter().map(|step| step.line.len() + 1).sum();
    let every = bench.pick(61, 1, 1);
    let what = "answers of the drill that don't hold when the line drops after a keystroke and the daemon is killed then, and \
                effects of what was not typed to its end";
    let Some(mut first) = drill::board(bench)? else {
        let note =
            format!("not measured: there is no {}", bench.program.with_file_name("passband").display());
        return sink(Row::new(GROUP, what, None, "1", Op::AtMost, 0.0).note(note));
    };
    first.kill()?;
    let (mut cuts, mut answered, mut wrong) = (0, 0, Vec::new());
    for key in places(&steps, keys, every) {
        let board = first.copy()?;
        let (answers, faults) = cut(board, &steps, key)?;
        cuts += 1;
        answered += answers;
        wrong.extend(faults);
    }
    let mut note = format!("{cuts} cuts at {keys} keystrokes, {answered} answers looked at");
    if let Some(first) = wrong.first() {
        note = format!("{note}; the first: {first}");
    }
    sink(Row::new(GROUP, what, Some(wrong.len() as f64), "1", Op::AtMost, 0.0).note(note))
}

/// After how many keystrokes the line drops: each so many, and at and just behind the end of each line.
fn places(steps: &[Step], keys: usize, every: usize) -> Vec<usize> {
    let mut at: Vec<usize> = (0..=keys).step_by(every).collect();
    let mut end = 0;
    for step in steps {
        end += step.line.len() + 1;
        at.extend([end, end + 1]);
    }
    at.sort_unstable();
    at.dedup();
    at
}

/// One drill, cut off: how many answers with an effect there were, and what of it all is wrong.
fn cut(mut board: Board, steps: &[Step], key: usize) -> Result<(usize, Vec<String>)> {
    board.start()?;
    let line = |direction| Line::new(f64::INFINITY, 0.0, 0, direction);
    let mut terminal = Terminal::log_in(&board, Lines { up: line(0), down: line(1), pace: Pace::Counted })?;
    let (mut left, mut answered, mut typed) = (key, 0, 0);
    for step in steps {
        let keys = format!("{}\n", step.line);
        if left <= keys.len() {
            let part = keys.as_bytes().get(..left).unwrap_or_default();
            terminal.send(part)?;
            typed += usize::from(part.ends_with(b"\n"));
            left = 0;
            break;
        }
        let shown = terminal.command(&step.line)?;
        ensure!(shown.contains(step.shows), "`{}` was answered {shown:?}", step.line);
        (answered, typed, left) = (answered + 1, typed + 1, left - keys.len());
    }
    if left > 0 {
        terminal.send(b"exit".get(..left).unwrap_or(b"exit"))?;
    }
    terminal.drop_line()?;
    let mut faults = look(&board, steps, answered, typed, key, false);
    board.kill()?;
    board.start()?;
    faults.extend(look(&board, steps, answered, typed, key, true));
    Ok((steps.iter().take(answered).filter(|step| step.effect.is_some()).count(), faults))
}

/// What is not as it has to be on the board.
fn look(board: &Board, steps: &[Step], answered: usize, typed: usize, key: usize, anew: bool) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let Some(effect) = step.effect.filter(|effect| !anew || effect.lasts()) else { continue };
        let must = number < answered;
        // What was typed and not answered may have happened or not.
        if !must && number < typed {
            continue;
        }
        match effect.is_on(board) {
            Ok(is) if is == must => {}
            Ok(is) => faults.push(format!("after {key} keystrokes, anew {anew}: {effect:?} is {is}")),
            Err(e) => faults.push(format!("after {key} keystrokes, anew {anew}: {effect:?}: {e:#}")),
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_drops_at_the_end_of_each_line_and_behind_it() {
        let steps = drill::steps();
        let keys = steps.iter().map(|step| step.line.len() + 1).sum();
        let few = places(&steps, keys, 1_000);
        assert_eq!(few.len(), 1 + 2 * steps.len());
        assert!(few.contains(&16) && few.contains(&17) && few.contains(&(keys + 1)));
        let all = places(&steps, keys, 1);
        assert!(all.iter().copied().eq(0..=keys + 1));
    }
}
