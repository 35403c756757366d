//! What `/proc` says, read from its text (proc(5); PSI: the kernel's Documentation/accounting/psi.rst).

/// The 10-second average of a line of a PSI file, `some` or `full`, percent.
pub fn psi_avg10(text: &str, line: &str) -> Option<f64> {
    let line = text.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(' '))?;
    line.split(' ').find_map(|field| field.strip_prefix("avg10=")?.parse().ok())
}

/// A number of `/proc/meminfo` or `/proc/vmstat`, by its name.
pub fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let found = words.next()?.trim_end_matches(':') == name;
        found.then(|| words.next()?.parse().ok()).flatten()
    })
}

/// Memory that is available, percent of all, from `/proc/meminfo`.
pub fn memory_available_percent(meminfo: &str) -> Option<f64> {
    let (all, available) = (field(meminfo, "MemTotal")?, field(meminfo, "MemAvailable")?);
    (all > 0).then(|| 100.0 * available as f64 / all as f64)
}

/// How often work had to free memory itself, from `/proc/vmstat`: one number, or one for each zone.
pub fn direct_reclaims(vmstat: &str) -> Option<u64> {
    let counts = vmstat.lines().filter_map(|line| {
        let (name, count) = line.split_once(' ')?;
        name.starts_with("allocstall").then(|| count.trim().parse::<u64>().ok()).flatten()
    });
    counts.reduce(u64::saturating_add)
}

/// The load over a minute, from `/proc/loadavg`.
pub fn load_1min(loadavg: &str) -> Option<f64> {
    loadavg.split(' ').next()?.parse().ok().filter(|load: &f64| load.is_finite() && *load >= 0.0)
}

/// How many processors `/proc/stat` lists.
pub fn processors(stat: &str) -> usize {
    let is_one = |line: &&str| {
        let number = line.strip_prefix("cpu").and_then(|rest| rest.split(' ').next());
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    };
    stat.lines().filter(is_one).count()
}

/// Memory of a process in pages, from its `statm`.
pub fn resident_pages(statm: &str) -> Option<u64> {
    statm.split(' ').nth(1)?.parse().ok()
}

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessStat {
    /// Whose child it is.
    pub parent: u32,
    /// Whether it has ended, and nobody has asked how.
    pub zombie: bool,
    /// Processor time of its own and of the children that it has waited for, clock ticks.
    pub cpu_ticks: u64,
    /// Processor time of its own, clock ticks.
    pub own_ticks: u64,
    /// Its threads.
    pub threads: u64,
    /// When it began, clock ticks since the board did: tells it from another one of the same number.
    pub began_ticks: u64,
    /// Its memory, pages.
    pub resident_pages: u64,
}

/// Reads `/proc/PID/stat`. The name in it may hold anything, so that the fields count from the last parenthesis.
pub fn process_stat(text: &str) -> Option<ProcessStat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().take(22).collect();
    // Field 3 of proc(5) is the first one here.
    let number = |n: usize| fields.get(n.checked_sub(3)?)?.parse::<u64>().ok();
    let own_ticks = number(14)?.saturating_add(number(15)?);
    let children = number(16)?.saturating_add(number(17)?);
    Some(ProcessStat {
        parent: u32::try_from(number(4)?).ok()?,
        zombie: matches!(fields.first(), Some(&("Z" | "X"))),
        cpu_ticks: own_ticks.saturating_add(children),
        own_ticks,
        threads: number(20)?,
        began_ticks: number(22)?,
        resident_pages: number(24)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_kernels_texts_are_read() {
        let psi =
            "some avg10=12.50 avg60=3.00 avg300=0.10 total=1\nfull avg10=1.25 avg60=0 avg300=0 total=0\n";
        assert_eq!((psi_avg10(psi, "some"), psi_avg10(psi, "full")), (Some(12.5), Some(1.25)));
        assert_eq!(psi_avg10("some avg60=1", "some"), None);
        let meminfo = "MemTotal:        8000 kB\nMemFree:  10 kB\nMemAvailable:    2000 kB\n";
        assert_eq!(memory_available_percent(meminfo), Some(25.0));
        assert_eq!(memory_available_percent("MemTotal: 0 kB\nMemAvailable: 0 kB"), None);
        assert_eq!(direct_reclaims("allocstall_dma 1\nallocstall_normal 41\npgfault 9"), Some(42));
        assert_eq!(direct_reclaims("allocstall 7"), Some(7));
        assert_eq!(direct_reclaims("pgfault 7"), None);
        assert_eq!(load_1min("3.50 1.00 0.50 2/345 6789"), Some(3.5));
        assert_eq!(processors("cpu  1 2\ncpu0 1 2\ncpu1 1 2\nintr 5\ncpus 3"), 2);
        assert_eq!(resident_pages("1000 250 30 1 0 90 0"), Some(250));
    }

    #[test]
    fn a_process_is_read_whatever_its_name_is() {
        let text = "77 (a) b (x) S 12 77 77 0 -1 4194560 5 0 0 0 30 4 2 1 39 19 3 0 9911 10000 321 184467 1";
        let stat = process_stat(text).unwrap();
        assert_eq!((stat.parent, stat.zombie, stat.cpu_ticks, stat.own_ticks), (12, false, 37, 34));
        assert_eq!((stat.threads, stat.began_ticks, stat.resident_pages), (3, 9911, 321));
        assert!(process_stat(&text.replace(") S", ") Z")).unwrap().zombie);
        assert_eq!(process_stat("77 (short) S 1"), None);
    }

    proptest! {
        #[test]
        fn no_text_stops_a_reader(text in "[a-z0-9 .:=()\n-]{0,200}") {
            let _ = (psi_avg10(&text, "some"), field(&text, "a"), direct_reclaims(&text));
            let _ = (load_1min(&text), processors(&text), resident_pages(&text), process_stat(&text));
        }
    }
}
