//! What is taken back, against a scripted kernel.

use super::*;
use crate::kernel::ScriptedKernel;
use crate::model::pair::PairPlan;
use crate::model::{IpsecProtocol, Spi};

#[test]
fn what_was_added_before_a_refusal_goes_again() {
    let plan = PairPlan::between([10, 9, 0, 1].into(), [10, 9, 0, 2].into());
    let [half, _] = plan.make(|protocol| Spi::random(protocol, |_| false)).unwrap();
    let mut kernel = ScriptedKernel::at(0);
    kernel.add_policy(&half.policies[1]).unwrap();
    let refusal = exchange(&mut kernel, &half).unwrap_err();
    assert!(refusal.to_string().contains("adding policy in 10.9.0.2/32"), "{refusal}");
    assert_eq!((kernel.sas().unwrap().len(), kernel.policies().unwrap().len()), (0, 1));
    kernel.delete_policy(&half.policies[1].id()).unwrap();
    exchange(&mut kernel, &half).unwrap();
    assert_eq!((kernel.sas().unwrap().len(), kernel.policies().unwrap().len()), (2, 2));
    assert_eq!(kernel.sas().unwrap()[0].id().protocol, IpsecProtocol::Esp);
}

#[test]
fn what_was_exchanged_is_taken_back_and_goes_on_counting() {
    let plan = PairPlan::between([10, 9, 0, 1].into(), [10, 9, 0, 2].into());
    let [half, _] = plan.make(|protocol| Spi::random(protocol, |_| false)).unwrap();
    let mut kernel = ScriptedKernel::at(0);
    exchange(&mut kernel, &half).unwrap();
    let old = |sa: &SaSpec| crate::model::pair::OldSa { id: sa.id(), source: sa.source };
    let removal = Half {
        old_policies: half.policies.iter().map(PolicySpec::id).collect(),
        old_sas: half.sas.iter().map(old).collect(),
        ..Half::default()
    };
    let before: Vec<Policy> = kernel.policies().unwrap();
    // What is gone already is no hindrance, and is not made again.
    kernel.delete_sa(&half.sas[1].id()).unwrap();
    let reversal = exchange(&mut kernel, &removal).unwrap();
    assert_eq!((kernel.sas().unwrap().len(), kernel.policies().unwrap().len()), (0, 0));
    reversal.carry_out(&mut kernel).unwrap();
    let (sas, policies) = (kernel.sas().unwrap(), kernel.policies().unwrap());
    assert_eq!((sas.len(), sas[0].id(), sas[0].replay.sent), (1, half.sas[0].id(), AHEAD));
    assert_eq!(policies.iter().map(Policy::id).collect::<Vec<_>>(), before.iter().map(Policy::id).collect::<Vec<_>>());
    assert!(reversal.carry_out(&mut kernel).is_err(), "it is there already");
}

#[test]
fn what_was_deleted_before_a_refusal_is_there_again_and_goes_on_counting() {
    let plan = PairPlan::between([10, 9, 0, 1].into(), [10, 9, 0, 2].into());
    let [half, _] = plan.make(|protocol| Spi::random(protocol, |_| false)).unwrap();
    let mut kernel = ScriptedKernel::at(0);
    exchange(&mut kernel, &half).unwrap();
    let mut used = Sa::from_spec(&half.sas[0], 7);
    (used.replay.sent, used.replay.received, used.used.packets) = (1000, 900, 1900);
    kernel.delete_sa(&used.id()).unwrap();
    kernel.put_sa(used.clone());
    let policies = kernel.policies().unwrap();
    let steps = [
        Step::FlushPolicies(PolicyKind::Main),
        Step::DeleteSa(half.sas[1].id()),
        Step::FlushSas(IpsecProtocol::Any),
        Step::AddSa(&half.sas[1]),
        Step::AddSa(&half.sas[1]),
    ];
    let refusal = carry_out(&mut kernel, &steps).unwrap_err();
    assert_eq!((refusal.step, refusal.error.errno(), refusal.left), (4, Some(libc::EEXIST), Vec::new()));
    let resumed = kernel.sa(&used.id()).unwrap();
    assert_eq!((resumed.replay.sent, resumed.replay.received, resumed.used), (1000 + AHEAD, 900, used.used));
    assert_eq!(kernel.sas().unwrap().len(), 2);
    let in_order = |mut policies: Vec<Policy>| {
        policies.sort_by(matching_order);
        policies.iter().map(Policy::id).collect::<Vec<_>>()
    };
    assert_eq!(in_order(kernel.policies().unwrap()), in_order(policies));
}

#[test]
fn what_nobody_wants_any_more_is_taken_back() {
    let plan = PairPlan::between([10, 9, 0, 1].into(), [10, 9, 0, 2].into());
    let [half, _] = plan.make(|protocol| Spi::random(protocol, |_| false)).unwrap();
    let mut kernel = ScriptedKernel::at(0);
    let steps: Vec<Step<'_>> = half.policies.iter().map(Step::AddPolicy).collect();
    let asked = std::cell::Cell::new(0);
    let is_unwanted = || asked.replace(asked.get() + 1) == 1;
    let refusal = carry_out_unless(&mut kernel, &steps, is_unwanted).unwrap_err();
    assert_eq!((refusal.step, refusal.error.to_string()), (1, "carrying it out: interrupted".to_owned()));
    assert_eq!((kernel.policies().unwrap(), refusal.left), (Vec::new(), Vec::new()));
}

#[test]
fn an_sa_that_is_replaced_goes_on_counting_unless_its_keys_change() {
    let plan = PairPlan::between([10, 9, 0, 1].into(), [10, 9, 0, 2].into());
    let [half, _] = plan.make(|protocol| Spi::random(protocol, |_| false)).unwrap();
    let mut kernel = ScriptedKernel::at(100);
    let mut used = Sa::from_spec(&half.sas[0], 7);
    used.replay.sent = 1000;
    kernel.put_sa(used.clone());
    let mut spec = half.sas[0].clone();
    spec.limits = crate::model::LifetimeLimits::ending_after(3600);
    replace_sa(&mut kernel, &used.id(), &spec).unwrap();
    let found = kernel.sa(&used.id()).unwrap();
    assert_eq!((found.replay.sent, found.used.added_at, found.limits), (1000 + AHEAD, 7, spec.limits));
    spec.algorithms = half.sas[1].algorithms.clone();
    kernel.refuse_after(2, Cause::Refused { errno: libc::EINVAL, text: None });
    assert_eq!(replace_sa(&mut kernel, &used.id(), &spec).unwrap_err().errno(), Some(libc::EINVAL));
    assert_eq!(*kernel.sa(&used.id()).unwrap().algorithms, half.sas[0].algorithms);
    replace_sa(&mut kernel, &used.id(), &spec).unwrap();
    assert_eq!(kernel.sa(&used.id()).unwrap().replay.sent, 0);
}

#[test]
fn what_cannot_be_taken_back_is_told() {
    let plan = PairPlan::between([10, 9, 0, 1].into(), [10, 9, 0, 2].into());
    let [half, _] = plan.make(|protocol| Spi::random(protocol, |_| false)).unwrap();
    let mut kernel = ScriptedKernel::at(0);
    let gone = Step::DeleteSa(half.sas[1].id());
    kernel.refuse_after(2, Cause::Refused { errno: libc::EPERM, text: None });
    let refusal = carry_out(&mut kernel, &[Step::AddSa(&half.sas[0]), gone]).unwrap_err();
    assert_eq!((refusal.step, refusal.left.len()), (1, 1));
}

#[test]
fn an_update_that_the_kernel_would_ignore_is_refused() {
    let spec = SaSpec::new([10, 9, 0, 1].into(), [10, 9, 0, 2].into(), IpsecProtocol::Comp, Spi(0x1001));
    let mut kernel = ScriptedKernel::at(0);
    let mut keyed = spec.clone();
    keyed.algorithms.compression = Some(crate::model::AlgorithmName::from_kernel("deflate"));
    kernel.add_sa(&keyed).unwrap();
    let longer = SaSpec { limits: crate::model::LifetimeLimits::ending_after(3600), ..keyed.clone() };
    carry_out(&mut kernel, &[Step::UpdateSa(&longer)]).unwrap();
    assert_eq!(kernel.sa(&spec.id()).unwrap().limits, longer.limits);
    let other = SaSpec { reqid: crate::model::ReqId(7), ..longer.clone() };
    let refusal = carry_out(&mut kernel, &[Step::UpdateSa(&keyed), Step::UpdateSa(&other)]).unwrap_err();
    assert!(refusal.error.to_string().contains("would keep its reqid"), "{}", refusal.error);
    assert_eq!(kernel.sa(&spec.id()).unwrap().limits, longer.limits, "the first update was taken back");
}

#[test]
fn many_go_together_or_stay_and_what_is_gone_already_is_no_hindrance() {
    let mut kernel = ScriptedKernel::at(0);
    let spec = |spi: u32| {
        let mut spec = SaSpec::new([10, 9, 0, 1].into(), [10, 9, 0, 2].into(), IpsecProtocol::Esp, Spi(spi));
        spec.algorithms.compression = Some(crate::model::AlgorithmName::from_kernel("deflate"));
        spec
    };
    let specs: Vec<SaSpec> = (0x1000..0x1005).map(spec).collect();
    for spec in &specs {
        kernel.add_sa(spec).unwrap();
    }
    let mut ids: Vec<SaId> = specs.iter().map(SaSpec::id).collect();
    ids.insert(2, spec(0x2000).id());
    // Each is read and deleted, the one that is gone only looked for: the fourth's end is refused.
    kernel.refuse_after(8, Cause::Refused { errno: libc::EPERM, text: None });
    let refusal = delete_sas(&mut kernel, &ids).unwrap_err();
    assert_eq!((refusal.operation, kernel.sas().unwrap().len()), (Operation::DeleteSa(specs[3].id()), 5));
    ids.retain(|id| *id != specs[3].id());
    delete_sas(&mut kernel, &ids).unwrap();
    assert_eq!(kernel.sas().unwrap().len(), 1);
}

#[test]
fn what_fits_goes_and_comes_back_and_answers_are_told() {
    let mut kernel = ScriptedKernel::at(0);
    let plan = PairPlan::between([10, 9, 0, 1].into(), [10, 9, 0, 2].into());
    let [half, _] = plan.make(|protocol| Spi::random(protocol, |_| false)).unwrap();
    exchange(&mut kernel, &half).unwrap();
    let parse = |text: &str, rows| RowFilter::parse(text, rows).unwrap().unwrap();
    let to_2 = parse("dst 10.9.0.2", crate::model::row_filter::Rows::Sas);
    let out = parse("dir out", crate::model::row_filter::Rows::Policies);
    let (sas, all) = (Question::Sas(Some(to_2.clone())), Question::Policies(None));
    let wanted = SpiRequest::any([10, 9, 0, 1].into(), [10, 9, 0, 2].into(), IpsecProtocol::Esp);
    let defaults = DefaultsChange { input: Some(crate::model::PolicyAction::Block), ..DefaultsChange::default() };
    let mut steps = vec![
        Step::Show(&sas),
        Step::DeleteSas(Some(&to_2)),
        Step::DeletePolicies(Some(&out)),
        Step::Show(&all),
        Step::AllocateSpi(&wanted),
        Step::SetDefaults(defaults),
        Step::SetThresholds(ThresholdsChange { v4: Some((24, 24)), v6: None }),
        Step::DeletePolicyAt(PolicyPlace {
            index: 999,
            direction: crate::model::PolicyDirection::Out,
            kind: PolicyKind::Main,
        }),
    ];
    let before = (kernel.defaults().unwrap(), kernel.thresholds().unwrap(), kernel.sas().unwrap().len());
    let refusal = carry_out(&mut kernel, &steps).unwrap_err();
    assert_eq!((refusal.step, refusal.error.errno(), refusal.left), (7, Some(libc::ENOENT), Vec::new()));
    let after = (kernel.defaults().unwrap(), kernel.thresholds().unwrap(), kernel.sas().unwrap().len());
    assert_eq!(after, before);
    steps.pop();
    let answers = carry_out(&mut kernel, &steps).unwrap();
    assert_eq!(answers.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [0, 3, 4]);
    assert!(
        matches!(&answers[0].1, Answer::Sas(sas) if sas.len() == 1 && sas[0].destination.to_string() == "10.9.0.2")
    );
    assert!(matches!(&answers[1].1, Answer::Policies(policies) if policies.len() == 1));
    assert!(matches!(&answers[2].1, Answer::Allocated(sa) if sa.is_larval()));
    assert_eq!(kernel.thresholds().unwrap(), HashThresholds { v4: (24, 24), v6: (128, 128) });
}
