//! The thread that changes the kernel, and the trial that a change may be on.
//!
//! A change on trial is taken back unless somebody keeps it. The console itself sees to that while it can; here it is
//! seen to when it cannot: it may hang in writing to a terminal that the change itself has cut off, or be gone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::command::{Change, Done, Outcome};
use super::event::Event;
use super::state::proposal::TRIAL_MS;
use crate::kernel::{Cause, Kernel, KernelError};

/// How much longer than the console this thread waits for somebody to keep a change.
const GRACE: Duration = Duration::from_secs(5);
/// How often it looks whether the program is to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is asked of the thread.
pub enum Order {
    /// Carry this out.
    Change(Box<Change>),
    /// Carry this out on trial.
    Try(Box<Change>),
    /// What is on trial stays.
    Keep,
}

/// Carries out what is asked for until nobody asks any more. `is_ending`: whether the program has been told to end.
pub fn run<K: Kernel>(
    open: impl Fn() -> Result<K, KernelError>,
    sender: &mpsc::Sender<Event>,
    orders: &Receiver<Order>,
    is_ending: &AtomicBool,
) {
    let mut kernel: Option<K> = None;
    let mut carry_out = |change: Box<Change>| {
        let opened = match &mut kernel {
            Some(kernel) => Ok(kernel),
            None => open().map(|opened| kernel.insert(opened)),
        };
        let result = opened.and_then(|kernel| change.carry_out(kernel));
        if result.as_ref().is_err_and(|error| !matches!(error.cause, Cause::Refused { .. })) {
            // The next change gets a new connection: this one may be what is broken.
            kernel = None;
        }
        let back = back_of(&change, result.as_ref().ok());
        // Nobody has to listen.
        let _ = sender.blocking_send(Event::Done(Outcome { change, result }));
        back
    };
    // What takes the change on trial back, and when it does.
    let mut trial: Option<(Box<Change>, Instant)> = None;
    let mut is_back = false;
    loop {
        let order = match &trial {
            None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some((_, until)) => orders.recv_timeout(until.saturating_duration_since(Instant::now()).min(LOOK_EVERY)),
        };
        match order {
            Ok(Order::Keep) => trial = None,
            Ok(Order::Try(change)) => {
                trial = carry_out(change).map(|back| (back, Instant::now() + Duration::from_millis(TRIAL_MS) + GRACE));
                is_back = false;
            }
            Ok(Order::Change(change)) if matches!(*change, Change::TakeBack { .. }) => {
                trial = None;
                // The console asks for it only now: it was taken back here.
                if !std::mem::take(&mut is_back) {
                    carry_out(change);
                }
            }
            Ok(Order::Change(change)) => {
                carry_out(change);
                is_back = false;
            }
            Err(error) => {
                let is_gone = error == RecvTimeoutError::Disconnected;
                let is_over =
                    |until: &Instant| is_gone || is_ending.load(Ordering::Relaxed) || *until <= Instant::now();
                match trial.take_if(|(_, until)| is_over(until)) {
                    Some((back, _)) => {
                        carry_out(back);
                        is_back = true;
                    }
                    None if is_gone => return,
                    None => {}
                }
            }
        }
    }
}

/// What takes a change back that was carried out.
fn back_of(change: &Change, done: Option<&Done>) -> Option<Box<Change>> {
    match (change, done?.reversal.clone()) {
        (Change::Exchange(half), Some(reversal)) => Some(Box::new(Change::TakeBack { half: half.clone(), reversal })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc as blocking;

    use super::*;
    use crate::kernel::ScriptedKernel;
    use crate::model::pair::{Half, PairPlan};
    use crate::model::{PolicyId, Spi};

    /// A kernel with a pair's policies, and the removal of them.
    fn pair() -> (ScriptedKernel, Half) {
        let plan = PairPlan::between([10, 9, 0, 1].into(), [10, 9, 0, 2].into());
        let [half, _] = plan.make(|protocol| Spi::random(protocol, |_| false)).unwrap();
        let mut kernel = ScriptedKernel::at(0);
        for policy in &half.policies {
            kernel.add_policy(policy).unwrap();
        }
        let old_policies: Vec<PolicyId> = kernel.policies().unwrap().iter().map(crate::model::Policy::id).collect();
        (kernel, Half { old_policies, ..Half::default() })
    }

    /// What is left of two policies, and how many outcomes were told, when these were all orders.
    fn after(orders: Vec<Order>, kernel: &ScriptedKernel, is_ending: &AtomicBool) -> (usize, usize) {
        let ((sender, mut events), (orders_sender, wanted)) = (mpsc::channel(10), blocking::channel());
        for order in orders {
            orders_sender.send(order).unwrap();
        }
        drop(orders_sender);
        run(|| Ok(kernel.clone()), &sender, &wanted, is_ending);
        let told = std::iter::from_fn(|| events.try_recv().ok()).count();
        (kernel.clone().policies().unwrap().len(), told)
    }

    #[test]
    fn what_is_on_trial_comes_back_when_nobody_is_there_to_keep_it() {
        let (kernel, half) = pair();
        let half = Box::new(Change::Exchange(Box::new(half)));
        let never = AtomicBool::new(false);
        assert_eq!(after(vec![Order::Try(half.clone())], &kernel, &never), (2, 2));
        assert_eq!(after(vec![Order::Change(half.clone())], &kernel, &never), (0, 1));
        let (kernel, _) = pair();
        assert_eq!(after(vec![Order::Try(half), Order::Keep], &kernel, &never), (0, 1));
    }

    #[test]
    fn it_comes_back_once_and_at_once_when_the_program_is_to_end() {
        let (kernel, half) = pair();
        let ((sender, mut events), (orders, wanted)) = (mpsc::channel(10), blocking::channel());
        let is_ending = AtomicBool::new(true);
        let own = kernel.clone();
        std::thread::scope(|scope| {
            scope.spawn(move || run(move || Ok(own.clone()), &sender, &wanted, &is_ending));
            orders.send(Order::Try(Box::new(Change::Exchange(Box::new(half))))).unwrap();
            let Some(Event::Done(made)) = events.blocking_recv() else { panic!("no outcome") };
            let Some(Event::Done(back)) = events.blocking_recv() else { panic!("it does not come back") };
            assert!(made.result.is_ok() && back.result.is_ok());
            // The console comes to it only now.
            orders.send(Order::Change(back.change)).unwrap();
            drop(orders);
        });
        assert!(events.try_recv().is_err(), "it was taken back twice");
        assert_eq!(kernel.clone().policies().unwrap().len(), 2);
    }
}
