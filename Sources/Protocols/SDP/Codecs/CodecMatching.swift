extension RTPCodec {
  /// What to answer when a peer offers this codec and we have `ours`: the payload type of the offer, our parameters where they
  /// describe a receiver, agreed ones where both sides must be alike, and the feedback that both know. `nil` when they differ.
  package func answer(with ours: RTPCodec) -> RTPCodec? {
    guard isNamed(ours.name), clockRate == ours.clockRate, channels == ours.channels else { return nil }
    guard let parameters = agreedParameters(ours) else { return nil }
    var answer = ours
    (answer.payloadType, answer.name, answer.parameters) = (payloadType, name, parameters)
    let known = Set(ours.feedback)
    answer.feedback = []
    for kind in feedback where known.contains(kind) && !answer.feedback.contains(kind) { answer.feedback.append(kind) }
    return answer
  }

  private func agreedParameters(_ ours: RTPCodec) -> FormatParameters? {
    switch name.lowercased() {
    case "h264": h264(ours)
    case "h265": h265(ours)
    case "av1": av1(ours)
    // RFC 9628 §6: the profile is what the stream has; it is not negotiated.
    case "vp9": isAlike("profile-id", ours, absent: 0) ? ours.parameters : nil
    // RFC 4733 §2.4.1: the events of the offer, all of which are only forwarded.
    case "telephone-event": parameters
    case "red", "rtx": parameters
    default: ours.parameters
    }
  }

  private func isAlike(_ name: String, _ ours: RTPCodec, absent: Int) -> Bool {
    (parameters.number(name) ?? absent) == (ours.parameters.number(name) ?? absent)
  }

  private func lowest(_ name: String, _ ours: RTPCodec, absent: Int) -> String {
    String(min(parameters.number(name) ?? absent, ours.parameters.number(name) ?? absent))
  }

  /// RFC 6184 §8.2.2: profile and packetization mode are symmetric, the level only where both sides do not say otherwise.
  private func h264(_ ours: RTPCodec) -> FormatParameters? {
    guard isAlike("packetization-mode", ours, absent: 0) else { return nil }
    guard let offered = H264ProfileLevel(parameters["profile-level-id"] ?? H264ProfileLevel.absent) else { return nil }
    guard let own = H264ProfileLevel(ours.parameters["profile-level-id"] ?? H264ProfileLevel.absent) else { return nil }
    guard offered.isSameProfile(own) else { return nil }
    let isAsymmetric = parameters["level-asymmetry-allowed"] == "1" && ours.parameters["level-asymmetry-allowed"] == "1"
    var agreed = ours.parameters
    if !isAsymmetric { agreed["level-asymmetry-allowed"] = nil }
    agreed["profile-level-id"] = (isAsymmetric ? offered.atLevel(of: own) : offered.lowered(to: own)).description
    return agreed
  }

  /// RFC 7798 §7.2.2: one stream on one session, the same profile and tier; the answer may lower the level.
  private func h265(_ ours: RTPCodec) -> FormatParameters? {
    guard (parameters["tx-mode"] ?? "SRST") == (ours.parameters["tx-mode"] ?? "SRST") else { return nil }
    guard isAlike("profile-space", ours, absent: 0), isAlike("profile-id", ours, absent: 1) else { return nil }
    guard isAlike("tier-flag", ours, absent: 0) else { return nil }
    var agreed = ours.parameters
    agreed["level-id"] = lowest("level-id", ours, absent: 93)
    return agreed
  }

  /// AV1 RTP §7.2: the same profile; level and tier say what a side can receive, 5 (3.1) and main when absent.
  private func av1(_ ours: RTPCodec) -> FormatParameters? {
    guard isAlike("profile", ours, absent: 0) else { return nil }
    var agreed = ours.parameters
    agreed["level-idx"] = lowest("level-idx", ours, absent: 5)
    agreed["tier"] = lowest("tier", ours, absent: 0)
    return agreed
  }
}
