internal import MartletIO
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletRTP

extension PeerConnectionCore {
  /// Sends what waits for the path as far as it takes it now; answers when to come back.
  func sendHeld() -> Instant? {
    guard session.canSend else { return nil }
    let now = session.context.now
    for sender in senders.values where sender.isHolding {
      if sender.sendHeld(over: session, now: now) { askForKeyFrame(sender) }
    }
    let silences = senders.values.map { $0.sendNoise(over: session, now: now) }
    let opening = senders.values.contains(where: \.isHolding) ? session.media.congestion?.opening : nil
    return (silences + [opening, session.pad(now: now)]).compactMap(\.self).min()
  }
}
