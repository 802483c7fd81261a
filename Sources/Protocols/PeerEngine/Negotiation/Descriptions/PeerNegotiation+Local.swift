package import MartletSDP

extension PeerNegotiation {
  /// `setLocalDescription` without arguments: makes the offer or the answer that the state calls for, sets it, and returns it.
  @discardableResult package mutating func setLocalDescription() throws(NegotiationError) -> (type: SDPType, session: SessionDescription) {
    let isOffer = signalingState == .stable || signalingState == .haveLocalOffer || signalingState == .haveRemotePranswer
    let session = isOffer ? try createOffer() : try createAnswer()
    try setLocalDescription(isOffer ? .offer : .answer, session)
    return (isOffer ? .offer : .answer, localDescription ?? session)
  }

  /// `setLocalDescription` (RFC 8829 §5.9): what was created last, with or without candidates; what a rollback says is ignored.
  package mutating func setLocalDescription(_ type: SDPType, _ session: SessionDescription? = nil) throws(NegotiationError) {
    guard let next = signalingState.next(.local, type) else {
      throw .invalidState("setLocalDescription(\(type.rawValue))", signalingState)
    }
    if type == .rollback { return rollBack() }
    guard let created = type == .offer ? lastOffer : lastAnswer else { throw .invalidModification("no \(type.rawValue) was created") }
    guard session.map({ $0.withoutCandidates == created.session }) ?? true else {
      throw .invalidModification("the \(type.rawValue) is not the one that was created last")
    }
    use(created.credentials)
    descriptions.set(.local, SetDescription(type: type, session: created.session))
    associate(created)
    if type.isAnswer { applyLocalAnswer(created.session) }
    move(to: next)
  }

  private mutating func associate(_ created: CreatedDescription) {
    for (index, id) in created.transceivers {
      guard let place = transceivers.firstIndex(where: { $0.id == id }), created.session.media.indices.contains(index) else { continue }
      transceivers[place].mid = created.session.media[index].mid
    }
  }

  private mutating func applyLocalAnswer(_ answer: SessionDescription) {
    for (index, section) in answer.media.enumerated() {
      let place = section.mid.flatMap { mid in transceivers.firstIndex { $0.mid == mid } }
      guard !section.isRejected else {
        reject(section, place)
        continue
      }
      guard let place else { continue }
      let direction = answer.direction(of: index)
      transceivers[place].currentDirection = direction
      if direction.sends { transceivers[place].hasSent = true }
      // W3C WebRTC §4.4.1.5: a track that we declined is not there.
      fire(place, direction)
    }
    connect(answer: answer, isAnsweredHere: true)
  }
}
