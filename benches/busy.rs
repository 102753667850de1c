//! How soon a key is answered on a console with 100,000 SAs and 100,000 policies while 1,000 SAs a second come and go:
//! the key taken in and the picture drawn, behind all the news that came before it. Keys that move, with and without a
//! filter; each character of a filter; and each change of the column that the list is sorted by. A list that is made
//! anew between keys has a piece of it in work when the key comes.
//!
//! To reach: 16 ms at the 99th percentile. Every kernel's word is news of its own here, as at the worst. Seen on two noisy
//! cores, with priority over all others (`chrt -f`): 2 to 4 ms for keys that move, 2 to 8 for characters of a filter,
//! 2 to 10 for keys that sort; otherwise up to 14. Before lists were made piece by piece a character took 46 ms.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that fails should say where, and prints a table")]

use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use espial::console::clock::Clock;
use espial::console::columns::{Columns, SaColumn};
use espial::console::event::{Event, Now, Polled};
use espial::console::state::{Setting, State};
use espial::console::theme::Theme;
use espial::console::view;
use espial::kernel::Update;
use espial::kernel::follow::Snapshot;
use espial::model::{
    AlgorithmName, Counts, IpsecProtocol, KernelEvent, Policy, PolicyDirection, PolicySpec, Prefix, Sa, SaSpec, Secret,
    Selector, Spi, Transform,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

const ROWS: u32 = 100_000;
const KEYS: u32 = 1000;
/// Between two keys, in milliseconds: as many SAs come and go.
const PAUSE: u32 = 50;

fn sa(n: u32) -> Sa {
    let host = |net: u32| std::net::Ipv4Addr::from((net << 24) | (n / 2)).into();
    let mut spec = SaSpec::new(host(10), host(11), IpsecProtocol::Esp, Spi(0x1000 + n));
    let name = AlgorithmName::from_kernel("rfc4106(gcm(aes))");
    spec.algorithms.aead = Some(Transform { name, key: Secret::copy_from(&[7; 36]), icv_bits: 128 });
    Sa::from_spec(&spec, 1_795_450_902)
}

fn policy(n: u32) -> Policy {
    let host = |net: u32| Prefix::host(std::net::Ipv4Addr::from((net << 24) | n).into());
    Policy::from_spec(&PolicySpec::new(PolicyDirection::Out, Selector::between(host(10), host(11))), n * 8, 0)
}

/// A console, its screen and its time.
struct Bench {
    state: State,
    terminal: Terminal<TestBackend>,
    theme: Theme,
    now: Now,
    /// The SA that comes next; the one before all others goes.
    next: u32,
}

impl Bench {
    fn new() -> Self {
        let now = Now { unix_ms: 1_795_450_999_000, uptime_ms: 5000 };
        let (state, theme) = (State::new(Setting::default(), Clock::utc(), now), Theme::load("dark", None).unwrap());
        let mut bench =
            Self { state, terminal: Terminal::new(TestBackend::new(200, 50)).unwrap(), theme, now, next: ROWS };
        let snapshot = Snapshot {
            sas: (0..ROWS).map(sa).collect(),
            policies: (0..ROWS).map(policy).collect(),
            ..Snapshot::default()
        };
        let start = Instant::now();
        bench.update(Event::Kernel(Update::Snapshot(snapshot)));
        bench.draw();
        println!("first picture: {:.0} ms", millis(start.elapsed()));
        bench
    }

    fn update(&mut self, event: Event) {
        self.state.update(event, self.now, &mut Vec::new());
    }

    fn draw(&mut self) {
        let mut drawn = None;
        let Self { terminal, state, theme, .. } = self;
        terminal.draw(|frame| drawn = Some(view::draw(frame, state, theme))).map(drop).unwrap();
        self.state.drawn(drawn.unwrap());
    }

    /// What happens in the time before a key.
    fn pause(&mut self) {
        for _ in 0..PAUSE {
            let gone = sa(self.next - ROWS).id();
            let news = vec![KernelEvent::SaAdded(Box::new(sa(self.next))), KernelEvent::SaDeleted(gone)];
            self.update(Event::Kernel(Update::Events(news)));
            self.next += 1;
        }
        self.now.uptime_ms += u64::from(PAUSE);
        self.now.unix_ms += u64::from(PAUSE);
        if self.now.uptime_ms.is_multiple_of(1000) {
            self.update(Event::Tick);
            let counts = Ok(Counts { sas: ROWS, policies_out: ROWS, ..Counts::default() });
            let sas = (self.next - 245..self.next).map(sa).collect();
            self.update(Event::Polled(Box::new(Polled {
                sas,
                policies: Vec::new(),
                counts,
                statistics: None,
                interfaces: Vec::new(),
            })));
        }
    }

    /// How long a key takes behind all that came before it.
    fn key(&mut self, code: KeyCode) -> Duration {
        let start = Instant::now();
        self.pause();
        if self.state.makes_lists() {
            self.update(Event::Spare);
        }
        self.update(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        self.draw();
        start.elapsed()
    }

    /// What is done while no key comes: as many pieces as there is time for.
    fn rest(&mut self) {
        let start = Instant::now();
        while self.state.makes_lists() && start.elapsed() < Duration::from_millis(PAUSE.into()) {
            self.update(Event::Spare);
        }
    }

    /// How long a list that is being made still takes.
    fn finish(&mut self) -> Duration {
        let start = Instant::now();
        while self.state.makes_lists() {
            self.update(Event::Spare);
        }
        start.elapsed()
    }

    fn keys(&mut self, what: &str, codes: impl Iterator<Item = KeyCode>) {
        let mut answers: Vec<Duration> = Vec::new();
        for code in codes {
            answers.push(self.key(code));
            self.rest();
        }
        answers.sort();
        let at = |percent: usize| millis(answers[(answers.len() - 1) * percent / 100]);
        let verdict = if at(99) < 16.0 { "reached" } else { "MISSED" };
        println!(
            "{what}: median {:.1} ms, 99th percentile {:.1} ms, longest {:.1} ms: {verdict}",
            at(50),
            at(99),
            at(100)
        );
    }
}

fn main() {
    let mut bench = Bench::new();
    let moves = |count| (0..count).map(|n| if n % 2 == 0 { KeyCode::Char('j') } else { KeyCode::PageDown });
    bench.keys("a key that moves", moves(KEYS));
    for filter in ["bytes < 1k and dst 11.0.0.0/16", "aes-gcm 11.0.1", "nowhere"] {
        bench.key(KeyCode::Char('/'));
        bench.keys(&format!("a character of {filter:?}"), filter.chars().map(KeyCode::Char));
        bench.key(KeyCode::Enter);
        println!("    all is listed {:.0} ms later: {} rows", millis(bench.finish()), bench.state.sas.len());
        bench.keys("a key that moves in it", moves(KEYS / 2));
        // All of it taken back again.
        bench.key(KeyCode::Char('/'));
        bench.keys("a character taken back", filter.chars().map(|_| KeyCode::Backspace));
        bench.key(KeyCode::Enter);
        bench.finish();
    }
    bench.keys("a key that sorts", (0..3 * SaColumn::USUAL.len()).map(|_| KeyCode::Char('>')));
    println!("    all is sorted {:.0} ms later", millis(bench.finish()));
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
