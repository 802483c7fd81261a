internal import MartletSDP

extension PeerNegotiation {
  /// What the end of every call has in common, whoever's description it was.
  mutating func move(to next: SignalingState) {
    let isChange = next != signalingState
    signalingState = next
    if next == .stable { settle() }
    raise(.media(negotiatedMedia()))
    if next == .stable { announceDataChannels() }
    if isChange { raise(.signalingStateChanged(next)) }
    if next == .stable { updateNegotiationNeeded(isFresh: true) }
  }

  /// An exchange is complete.
  private mutating func settle() {
    transceivers.removeAll { $0.isStopped || ($0.isStopping && $0.mid == nil) }
    for index in transceivers.indices { transceivers[index].settle() }
    settledTransport = (local.credentials, connected)
    if credentialsToReplace != local.credentials { credentialsToReplace = nil }
    (lastOffer, lastAnswer) = (nil, nil)
  }

  mutating func rollBack() {
    undo()
    lastOffer = nil
    lastAnswer = nil
    move(to: .stable)
  }

  /// RFC 8829 §5.7: as if the description that is pending had not been set. What the application did since stays.
  mutating func undo() {
    descriptions.rollBack()
    for index in transceivers.indices {
      let fired = transceivers[index].firedDirection?.receives == true
      let streams = transceivers[index].receiver.streams
      transceivers[index].rollBack()
      let fires = transceivers[index].firedDirection?.receives == true
      if fired, !fires { raise(.trackRemoved(transceivers[index].id, streams: streams)) }
      if fires, !fired { raise(.track(transceivers[index].id)) }
    }
    transceivers.removeAll { $0.settled == nil && $0.isFromOffer && !$0.isForTrack }
    restoreTransport()
  }
}
