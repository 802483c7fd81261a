internal import MartletSDP

extension PeerNegotiation {
  /// Looks again whether there is something to negotiate, and tells when it is news. `isFresh`: an exchange has just ended, so that
  /// what is still needed is news too.
  mutating func updateNegotiationNeeded(isFresh: Bool = false) {
    // W3C WebRTC §4.7.3: what comes up during an exchange is looked at when it is over.
    guard signalingState == .stable else { return }
    let wasNeeded = needsNegotiation && !isFresh
    needsNegotiation = isNegotiationNeeded
    if needsNegotiation, !wasNeeded { raise(.negotiationNeeded) }
  }

  private var isNegotiationNeeded: Bool {
    if credentialsToReplace != nil, descriptions.currentLocal?.session.answeredTransportSection != nil { return true }
    if usesDataChannels, !(descriptions.currentLocal?.session.media.contains { $0.kind == .application } ?? false) { return true }
    return transceivers.contains(where: isNegotiationNeeded)
  }

  private func isNegotiationNeeded(_ transceiver: Transceiver) -> Bool {
    guard let local = descriptions.currentLocal, let mid = transceiver.mid, let index = local.session.section(mid: mid) else {
      return transceiver.isLive
    }
    guard transceiver.isLive else { return true }
    let section = local.session.media[index]
    if transceiver.direction.sends, !hasStreams(of: transceiver, section) { return true }
    let described = local.session.direction(of: index)
    let remote = descriptions.currentRemote?.session.direction(of: index).inverted
    guard local.type.isAnswer else { return described != transceiver.direction && remote != transceiver.direction }
    return described != transceiver.direction.intersection(remote ?? .sendrecv)
  }

  private func hasStreams(of transceiver: Transceiver, _ section: MediaDescription) -> Bool {
    let told = Set(section.msids.map(\.stream)).subtracting(["-"])
    return !section.msids.isEmpty && told == Set(transceiver.sender.streams)
  }
}
