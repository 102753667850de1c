//! The console without a terminal: keys in, a scripted kernel behind it, pictures and commands out.

mod cursor;
mod forms;
mod lists;
mod long_lists;
mod packets;
mod screens;
mod stories;

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use espial::capture::Interface;
use espial::console::clock::Clock;
use espial::console::command::{Change, Command, Outcome, Wanted};
use espial::console::event::{Event, Now, Polled};
use espial::console::state::{Setting, State};
use espial::console::theme::{Role, Theme};
use espial::console::view;
use espial::kernel::{Follower, Kernel, ScriptedKernel, Support};
use espial::model::{
    AlgorithmName, IpsecProtocol, Limit, Mode, Policy, PolicyAction, PolicyDirection, PolicySpec, Prefix, ReqId, Sa,
    SaSpec, Secret, Selector, Spi, Template, Transform,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

/// 2026-11-23 16:21:42 UTC
pub const START: u64 = 1_795_450_902;

/// A console on a scripted kernel. Nothing waits: what a command asks for has happened when the key is handled.
pub struct Bench {
    pub kernel: ScriptedKernel,
    pub state: State,
    follower: Follower,
    now: Now,
    size: (u16, u16),
    /// What was asked of the world, changes and polls left out.
    pub asked: Vec<Command>,
    /// Changes wait here while `hold` is set.
    pub hold: bool,
    held: Vec<Change>,
}

impl Bench {
    /// A console on an empty kernel.
    pub fn new() -> Self {
        Self::with(|_| {}, |_| {})
    }

    /// A console on the kernel that `fill` fills, told what `set` sets.
    pub fn with(fill: impl FnOnce(&ScriptedKernel), set: impl FnOnce(&mut Setting)) -> Self {
        let kernel = ScriptedKernel::at(START);
        fill(&kernel);
        let follower = Follower::new(Box::new(kernel.clone())).unwrap();
        let now = Now { unix_ms: START * 1000, uptime_ms: 0 };
        let mut setting = Setting { host: "gouda".to_owned(), ..Setting::default() };
        setting.themes = espial::console::theme::names(None);
        set(&mut setting);
        let state = State::new(setting, Clock::utc(), now);
        let (asked, held) = (Vec::new(), Vec::new());
        let mut bench = Self { kernel, state, follower, now, size: (120, 40), asked, hold: false, held };
        bench.draw();
        bench.settle();
        bench.seconds(1);
        bench
    }

    /// Gives the window another size.
    pub fn sized(mut self, width: u16, height: u16) -> Self {
        self.size = (width, height);
        self.draw();
        self
    }

    /// Lets an event happen, and everything that follows from it.
    pub fn event(&mut self, event: Event) {
        let mut commands = Vec::new();
        self.state.update(event, self.now, &mut commands);
        for command in commands {
            self.carry_out(command);
        }
        self.settle();
        self.draw();
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Change(change) | Command::Try(change) if self.hold => self.held.push(*change),
            Command::Change(change) | Command::Try(change) => self.change(*change),
            Command::Poll { sas, policies } => {
                let sas = match sas {
                    Wanted::All => self.kernel.sas().unwrap_or_default(),
                    Wanted::These(ids) => self.kernel.sas_of(&ids),
                };
                let counts = self.kernel.counts();
                let statistics = self.kernel.statistics().ok();
                let interfaces = interfaces();
                let policies = policies.iter().filter_map(|id| self.kernel.policy(id).ok()).collect();
                self.event(Event::Polled(Box::new(Polled { sas, policies, counts, statistics, interfaces })));
            }
            Command::Resync => self.follower.resync().ask(),
            other => self.asked.push(other),
        }
    }

    fn change(&mut self, change: Change) {
        let result = change.carry_out(&mut self.kernel);
        self.event(Event::Done(Outcome { change: Box::new(change), result }));
    }

    /// Lets the kernel answer what was held.
    pub fn release(&mut self) {
        self.hold = false;
        for change in std::mem::take(&mut self.held) {
            self.change(change);
        }
    }

    /// Lets the kernel answer the first of what was held.
    pub fn release_one(&mut self) {
        let change = self.held.remove(0);
        self.change(change);
    }

    /// Lets the kernel say what it has to say.
    pub fn settle(&mut self) {
        loop {
            let event = match self.follower.next(Duration::ZERO) {
                Ok(Some(update)) => Event::Kernel(update),
                Ok(None) => return,
                Err(error) => Event::KernelSilent(error),
            };
            let silent = matches!(event, Event::KernelSilent(_));
            self.state.update(event, self.now, &mut Vec::new());
            if silent {
                return;
            }
        }
    }

    /// Lets seconds pass, with their ticks.
    pub fn seconds(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now.unix_ms += 1000;
            self.now.uptime_ms += 1000;
            self.event(Event::Tick);
        }
    }

    /// Lets a part of a second go by.
    pub fn milliseconds(&mut self, milliseconds: u64) {
        self.now.uptime_ms += milliseconds;
    }

    /// Presses keys: characters as they are, others as `<enter>`, `<esc>`, `<tab>`, `<ctrl-s>`; `<read>` lets a second go
    /// by, in which warnings are read.
    pub fn keys(&mut self, keys: &str) -> &mut Self {
        let mut rest = keys;
        while let Some(c) = rest.chars().next() {
            let named = rest.strip_prefix('<').and_then(|name| name.split_once('>'));
            let event = if let Some((name, behind)) = named {
                rest = behind;
                if name == "read" {
                    self.milliseconds(1000);
                    continue;
                }
                named_key(name)
            } else {
                rest = &rest[c.len_utf8()..];
                KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)
            };
            self.event(Event::Key(event));
        }
        self
    }

    fn draw(&mut self) -> Buffer {
        self.draw_with(&Theme::default())
    }

    /// The picture in a theme.
    pub fn draw_with(&mut self, theme: &Theme) -> Buffer {
        let (width, height) = self.size;
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let mut drawn = None;
        terminal.draw(|frame| drawn = Some(view::draw(frame, &self.state, theme))).unwrap();
        self.state.drawn(drawn.unwrap());
        terminal.backend().buffer().clone()
    }

    /// The picture as text.
    pub fn screen(&mut self) -> String {
        let buffer = self.draw();
        let mut text = String::new();
        for y in 0..buffer.area.height {
            let mut line = String::new();
            let mut skip = 0;
            for x in 0..buffer.area.width {
                let symbol = buffer[(x, y)].symbol();
                if skip == 0 {
                    line.push_str(symbol);
                    skip = unicode_width::UnicodeWidthStr::width(symbol).max(1);
                }
                skip -= 1;
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// The lines of the picture that contain a text.
    #[track_caller]
    pub fn line(&mut self, part: &str) -> String {
        let screen = self.screen();
        let found = screen.lines().find(|line| line.contains(part));
        found.unwrap_or_else(|| panic!("{part:?} is not on the screen:\n{screen}")).to_owned()
    }

    /// Asserts that a text is on the screen.
    #[track_caller]
    pub fn sees(&mut self, part: &str) -> &mut Self {
        self.line(part);
        self
    }

    /// Whether a text stands there as what is selected looks.
    pub fn is_selected(&mut self, part: &str) -> bool {
        let (buffer, theme) = (self.draw(), Theme::default());
        let selected = theme.style(Role::Selected);
        let looks = |x, y| buffer[(x, y)].style().patch(selected) == buffer[(x, y)].style();
        let row = |y| -> String {
            (0..buffer.area.width).map(|x| if looks(x, y) { buffer[(x, y)].symbol() } else { "|" }).collect()
        };
        (0..buffer.area.height).any(|y| row(y).contains(part))
    }

    /// Asserts that a text is not on the screen.
    #[track_caller]
    pub fn misses(&mut self, part: &str) -> &mut Self {
        let screen = self.screen();
        assert!(!screen.contains(part), "{part:?} is on the screen:\n{screen}");
        self
    }
}

fn named_key(name: &str) -> KeyEvent {
    let (modifiers, name) = match name.strip_prefix("ctrl-") {
        Some(rest) => (KeyModifiers::CONTROL, rest),
        None => (KeyModifiers::NONE, name),
    };
    let code = match name {
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "backtab" => KeyCode::BackTab,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "left" => KeyCode::Left,
        "right" => KeyCode::Right,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        "pgup" => KeyCode::PageUp,
        "pgdn" => KeyCode::PageDown,
        "bs" => KeyCode::Backspace,
        "del" => KeyCode::Delete,
        one if one.chars().count() == 1 => KeyCode::Char(one.chars().next().unwrap()),
        other => panic!("no key is called <{other}>"),
    };
    KeyEvent::new(code, modifiers)
}

/// A transform with a key that is easily found on a screen: every byte is 0xa7.
pub fn transform(kernel_name: &str, key_bytes: usize, icv_bits: u32) -> Transform {
    let key = Secret::copy_from(&vec![0xa7; key_bytes]);
    Transform { name: AlgorithmName::from_kernel(kernel_name), key, icv_bits }
}

/// What the key of [`transform`] looks like.
pub const KEY_HEX: &str = "a7a7a7a7";

/// The article's four SAs, with some traffic.
pub fn article_sas() -> Vec<Sa> {
    let gouda = "10.9.0.1".parse().unwrap();
    let reblochon = "10.9.0.2".parse().unwrap();
    let mut sas = Vec::new();
    for (source, destination, spi) in [(gouda, reblochon, 1000), (reblochon, gouda, 2000)] {
        let mut ah = SaSpec::new(source, destination, IpsecProtocol::Ah, Spi(spi));
        ah.algorithms.authentication = Some(transform("hmac(md5)", 16, 96));
        let mut esp = SaSpec::new(source, destination, IpsecProtocol::Esp, Spi(spi + 1));
        esp.algorithms.encryption = Some(transform("cbc(des3_ede)", 24, 0));
        esp.algorithms.authentication = Some(transform("hmac(sha1)", 20, 96));
        for spec in [ah, esp] {
            let mut sa = Sa::from_spec(&spec, START - 125);
            sa.used.packets = u64::from(spi) / 100;
            sa.used.bytes = sa.used.packets * 56;
            sa.used.used_at = Some(START - 120);
            sa.last_used_at = Some(START - 1);
            sa.replay.sent = sa.used.packets;
            sas.push(sa);
        }
    }
    sas
}

/// The article's policies as setkey makes them on gouda, fwd included.
pub fn article_policies() -> Vec<Policy> {
    let host = |last: u8| Prefix::host([10, 9, 0, last].into());
    let nowhere = [0, 0, 0, 0].into();
    [(PolicyDirection::Out, 1, 2, 1), (PolicyDirection::In, 2, 1, 8), (PolicyDirection::Forward, 2, 1, 18)]
        .into_iter()
        .map(|(direction, from, to, index)| {
            let mut spec = PolicySpec::new(direction, Selector::between(host(from), host(to)));
            spec.priority = PolicySpec::SETKEY_PRIORITY;
            spec.templates = [IpsecProtocol::Esp, IpsecProtocol::Ah]
                .map(|protocol| Template::new(protocol, Mode::Transport, nowhere, nowhere))
                .into();
            Policy::from_spec(&spec, index, START - 125)
        })
        .collect()
}

/// The article's listing, a tunnel with IPv6 ends that is about to expire, an SA with errors and one that is larval.
pub fn busy_kernel(kernel: &ScriptedKernel) {
    for sa in article_sas() {
        kernel.put_sa(sa);
    }
    for policy in article_policies() {
        kernel.put_policy(policy);
    }
    let (here, there) = ("fd00:9::1".parse().unwrap(), "fd00:9::2".parse().unwrap());
    let mut tunnel = SaSpec::new(here, there, IpsecProtocol::Esp, Spi(0xc0ff_ee01));
    tunnel.mode = Mode::Tunnel;
    tunnel.reqid = ReqId(7);
    tunnel.algorithms.aead = Some(transform("rfc4106(gcm(aes))", 36, 128));
    tunnel.limits.since_added_secs = Limit { soft: Some(3000), hard: Some(3600) };
    let mut tunnel = Sa::from_spec(&tunnel, START - 3500);
    tunnel.used.packets = 1_234_567;
    kernel.put_sa(tunnel);
    let mut failing = SaSpec::new(there, here, IpsecProtocol::Esp, Spi(0xc0ff_ee02));
    failing.replay_window = 32;
    failing.algorithms.encryption = Some(transform("cbc(aes)", 16, 0));
    failing.algorithms.authentication = Some(transform("hmac(sha256)", 32, 128));
    let mut failing = Sa::from_spec(&failing, START - 86_400);
    failing.errors.integrity_failed = 12;
    failing.replay.received = 20;
    failing.replay.bitmap = Box::from([0x000f_fff7]);
    kernel.put_sa(failing);
    kernel.put_sa(Sa::from_spec(&SaSpec::new(there, here, IpsecProtocol::Esp, Spi(0xc0ff_ee03)), START - 5));
    let any = |net: &str| net.parse().unwrap();
    let mut spec = PolicySpec::new(PolicyDirection::Out, Selector::between(any("10.1.0.0/24"), any("10.2.0.0/24")));
    let mut template = Template::new(IpsecProtocol::Esp, Mode::Tunnel, here, there);
    template.reqid = ReqId(7);
    spec.templates.push(template);
    kernel.put_policy(Policy::from_spec(&spec, 33, START - 10));
    let mut spec = PolicySpec::new(PolicyDirection::In, Selector::between(Prefix::ANY_V4, Prefix::ANY_V4));
    spec.action = PolicyAction::Block;
    spec.priority = 4_000_000_000;
    kernel.put_policy(Policy::from_spec(&spec, 40, START - 10));
    let of_socket = PolicySpec::new(PolicyDirection::Socket(3), Selector::between(Prefix::ANY_V4, Prefix::ANY_V4));
    kernel.put_policy(Policy::from_spec(&of_socket, 51, START - 10));
}

/// The interfaces of gouda.
pub fn interfaces() -> Vec<Interface> {
    let interface = |name: &str, index, is_up, addresses: &[&str]| Interface {
        name: name.to_owned(),
        index,
        is_up,
        is_loopback: name == "lo",
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        broadcasts: Vec::new(),
        tunnel: None,
        settings: espial::model::PolicySettings::default(),
    };
    vec![
        interface("lo", 1, true, &["127.0.0.1"]),
        interface("veth0", 2, true, &["10.9.0.1", "fd00:9::1"]),
        interface("spare", 3, false, &[]),
    ]
}

/// What a kernel without ESP says of itself.
pub fn no_esp() -> Support {
    Support { esp: Some(false), ah: Some(false) }
}
