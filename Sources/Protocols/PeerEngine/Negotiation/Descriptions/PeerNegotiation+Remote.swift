internal import MartletCrypto
internal import MartletICE
package import MartletSDP

extension PeerNegotiation {
  /// `setRemoteDescription` (RFC 8829 §5.10). An offer while ours waits for an answer takes ours back (the implicit rollback of
  /// perfect negotiation); who does not want to yield does not set it: `isCollision` tells.
  package mutating func setRemoteDescription(_ type: SDPType, _ session: SessionDescription? = nil) throws(NegotiationError) {
    guard let next = signalingState.next(.remote, type) else {
      throw .invalidState("setRemoteDescription(\(type.rawValue))", signalingState)
    }
    if type == .rollback { return rollBack() }
    guard let session else { throw .invalidAccess("no description to set") }
    // What fails half way must have done nothing.
    var copy = self
    try copy.check(session, type)
    if type == .offer { try copy.applyOffer(session) } else { try copy.applyAnswer(session, type) }
    copy.move(to: next)
    self = copy
  }

  /// Whether an offer of the peer meets one of ours. The polite side sets it and rolls back, the impolite one ignores it
  /// (W3C WebRTC §10.7).
  package func isCollision(_ type: SDPType) -> Bool {
    type == .offer && signalingState != .stable && signalingState != .haveRemoteOffer
  }

  // MARK: Checks

  private func check(_ session: SessionDescription, _ type: SDPType) throws(NegotiationError) {
    guard session.media.count <= configuration.limits.sections else { throw .limit("sections", maximum: configuration.limits.sections) }
    do throws(SDPError) {
      try session.validateForWebRTC(as: type)
      if type.isAnswer, let offer = descriptions.pendingLocal?.session { try session.validateAnswer(to: offer) }
    } catch { throw .unusable(error) }
    try checkFingerprints(of: session)
    if type == .offer { try checkSections(of: session) } else { try checkAnswer(session) }
  }

  private func checkFingerprints(of session: SessionDescription) throws(NegotiationError) {
    guard let section = session.answeredTransportSection else { return }
    let fingerprints = CertificateFingerprint.all(in: session.sharedTransport(section))
    guard !fingerprints.isEmpty else { throw .operation(section: section, "no fingerprint by SHA-1, SHA-256, SHA-384 or SHA-512") }
    // RFC 8842 §5.5: another certificate would be another association, and another transport.
    guard let former = (connected ?? settledTransport.remote)?.fingerprints else { return }
    guard fingerprints.contains(where: former.contains) else {
      throw .operation(section: section, "the certificate of another peer, which this transport cannot change to")
    }
  }

  /// RFC 3264 §8: sections neither vanish nor change places, except that a rejected one may begin anew.
  private func checkSections(of offer: SessionDescription) throws(NegotiationError) {
    let current = descriptions.currentRemote?.session.media ?? []
    guard offer.media.count >= current.count else {
      throw .operation(section: nil, "an offer with \(offer.media.count) sections where there are \(current.count) already")
    }
    for (index, former) in current.enumerated() where !descriptions.isRecyclable(index) {
      guard offer.media[index].mid == former.mid, offer.media[index].kind == former.kind else {
        throw .operation(section: index, "a \(offer.media[index].kind) in the place of the \(former.kind) with mid \(former.mid ?? "none")")
      }
    }
  }

  private func checkAnswer(_ answer: SessionDescription) throws(NegotiationError) {
    guard let first = answer.media.indices.first(where: { !answer.media[$0].isRejected }) else { return }
    let tag = answer.transportSection(of: first)
    for index in answer.media.indices where !answer.media[index].isRejected {
      guard answer.transportSection(of: index) == tag else {
        throw .operation(section: index, "an answer that leaves it out of the bundle")
      }
      guard !answer.media[index].transport.isRTP || answer.media[index].hasRTCPMux else {
        throw .operation(section: index, "an answer without a=rtcp-mux")
      }
    }
    // RFC 8839 §4.4.3: an answer has new credentials when the offer had, or is the first.
    if let connected, let now = answer.sharedTransport(tag).credentials, now != connected.credentials {
      throw .operation(section: tag, "an answer that changes the ICE credentials without a restart in the offer")
    }
  }

  // MARK: An offer

  private mutating func applyOffer(_ offer: SessionDescription) throws(NegotiationError) {
    if signalingState != .stable { undo() }
    descriptions.set(.remote, SetDescription(type: .offer, session: offer))
    for (index, section) in offer.media.enumerated() {
      guard let kind = TrackKind(section.kind), let mid = section.mid, !section.isRejected else { continue }
      let direction = offer.direction(of: index).inverted
      let place = transceiver(for: mid, kind, direction)
      guard transceivers[place].kind == kind else {
        throw .operation(section: index, "the mid \(mid) belongs to \(transceivers[place].kind.rawValue)")
      }
      propose(section, place)
      fire(place, direction, section)
    }
  }

  /// The transceiver of a section: its own, one that `addTrack` made and that waits for a peer that receives, or a new one.
  private mutating func transceiver(for mid: String, _ kind: TrackKind, _ direction: MediaDirection) -> Int {
    if let own = transceivers.firstIndex(where: { $0.mid == mid }) { return own }
    let waiting = transceivers.firstIndex { $0.mid == nil && $0.kind == kind && $0.isForTrack && $0.isLive }
    if direction.sends, let waiting {
      transceivers[waiting].mid = mid
      return waiting
    }
    let sender = TrackSender(track: nil, trackID: makeTrackID(), streams: [], encodings: [makeEncoding()])
    _ = add(kind, .recvonly, sender, isFromOffer: true, isForTrack: false)
    transceivers[transceivers.count - 1].mid = mid
    return transceivers.count - 1
  }

  /// W3C WebRTC §4.4.1.5: a peer that asks for simulcast proposes the layers to one that has sent nothing yet.
  private mutating func propose(_ section: MediaDescription, _ place: Int) {
    let rids = section.receivedLayers(limit: configuration.limits.rids).filter { $0.utf8.count <= 16 }
    guard rids.count > 1, !transceivers[place].sender.isSimulcast, transceivers[place].currentDirection == nil else { return }
    transceivers[place].sender.encodings = rids.map { makeEncoding(rid: $0) }
  }

  // MARK: An answer

  private mutating func applyAnswer(_ answer: SessionDescription, _ type: SDPType) throws(NegotiationError) {
    descriptions.set(.remote, SetDescription(type: type, session: answer))
    for (index, section) in answer.media.enumerated() {
      let place = section.mid.flatMap { mid in transceivers.firstIndex { $0.mid == mid } }
      guard !section.isRejected else {
        reject(section, place)
        continue
      }
      guard let place else { continue }
      let direction = answer.direction(of: index).inverted
      transceivers[place].currentDirection = direction
      if direction.sends { transceivers[place].hasSent = true }
      fire(place, direction, section)
    }
    connect(answer: answer, isAnsweredHere: false)
  }

  // MARK: What the peer sends

  /// RFC 8829 §5.10: the ids of the peer's track and its streams.
  private mutating func note(_ section: MediaDescription, _ place: Int, isKnown: Bool) {
    let limits = configuration.limits
    let ids = section.msids.prefix(limits.streams).filter { $0.stream.utf8.count <= limits.idBytes }
    var streams: [String] = []
    for id in ids where id.stream != "-" && !streams.contains(id.stream) { streams.append(id.stream) }
    let former = transceivers[place].receiver.streams
    transceivers[place].receiver.streams = streams
    if let track = ids.first?.track, track.utf8.count <= limits.idBytes { transceivers[place].receiver.track = track }
    guard isKnown else { return }
    let (added, removed) = (streams.filter { !former.contains($0) }, former.filter { !streams.contains($0) })
    if !added.isEmpty || !removed.isEmpty { raise(.streamsChanged(transceivers[place].id, added: added, removed: removed)) }
  }

  /// Tells the application when the peer begins or ceases to send (W3C WebRTC §5.1.1, [[FiredDirection]]).
  mutating func fire(_ place: Int, _ direction: MediaDirection, _ section: MediaDescription? = nil) {
    let (did, does) = (transceivers[place].firedDirection?.receives == true, direction.receives)
    transceivers[place].firedDirection = direction
    if does, let section { note(section, place, isKnown: did) }
    if does, !did { raise(.track(transceivers[place].id)) }
    if did, !does {
      raise(.trackRemoved(transceivers[place].id, streams: transceivers[place].receiver.streams))
      transceivers[place].receiver.streams = []
    }
  }

  /// A section that has no use for either side any more, or never had.
  mutating func reject(_ section: MediaDescription, _ place: Int?) {
    guard let mid = section.mid else { return }
    guard let place else { return rejectData(section.kind, mid) }
    guard !transceivers[place].isStopped else { return }
    fire(place, .inactive)
    transceivers[place].isStopped = true
    transceivers[place].currentDirection = nil
    raise(.rejected(mid: mid, transceivers[place].id))
  }
  /// A section of data channels that were open, or were to be.
  private mutating func rejectData(_ kind: MediaDescription.Kind, _ mid: String) {
    guard kind == .application, dataChannels?.mid == mid || (dataChannels == nil && usesDataChannels) else { return }
    dataChannels = nil
    raise(.rejected(mid: mid, nil))
  }
}
