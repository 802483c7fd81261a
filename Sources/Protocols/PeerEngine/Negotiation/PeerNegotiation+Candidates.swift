package import MartletICE
package import MartletPrimitives
internal import MartletSDP

extension PeerNegotiation {
  /// A candidate of ours: descriptions have it from now on.
  package mutating func addLocalCandidate(_ candidate: ICECandidate) {
    if !localCandidates.contains(candidate) { localCandidates.append(candidate) }
  }

  /// One of ours is gone.
  package mutating func removeLocalCandidates(at address: SocketAddress) { localCandidates.removeAll { $0.address == address } }

  /// There will be more of ours, as after an ICE restart.
  package mutating func beginLocalCandidates() { hasAllLocalCandidates = false }

  /// There will be no more of ours.
  package mutating func endOfLocalCandidates() { hasAllLocalCandidates = true }

  /// RFC 8829 §5.2.2: the first section of the bundle has the candidates of all.
  func withCandidates(_ session: SessionDescription) -> SessionDescription {
    guard let section = session.answeredTransportSection else { return session }
    var session = session
    session.media[section].candidates = localCandidates.map(\.attribute)
    session.media[section].hasEndOfCandidates = hasAllLocalCandidates
    return session
  }

  /// `addIceCandidate` (RFC 8829 §4.1.19): a candidate that the peer signalled, which is handed to the transport when that knows the
  /// credentials it belongs to.
  ///
  /// - Parameters:
  ///   - text: with or without `candidate:`; empty at the end of the candidates.
  ///   - mid: of its section; without, `section` counts, and without both the transport's.
  ///   - section: the index of its `m=` section.
  ///   - fragment: of the generation it belongs to; without, the last.
  package mutating func addRemoteCandidate(
    _ text: String, mid: String? = nil, section: Int? = nil, fragment: String? = nil
  ) throws(NegotiationError) {
    guard signalingState != .closed, var description = descriptions.remote else { throw .invalidState("addIceCandidate", signalingState) }
    var candidate: ICECandidate?
    if !text.isEmpty {
      do throws(ICEError) { candidate = try ICECandidate(text) } catch { throw .operation(section: section, "\(error)") }
      // It becomes a line of the description.
      guard candidate?.attribute.utf8.allSatisfy({ $0 > 31 }) ?? false else {
        throw .operation(section: section, "a candidate of several lines")
      }
    }
    let fragment = fragment ?? candidate?.fragment
    var isPending = descriptions.pendingRemote != nil
    // A candidate of the generation before may still be on its way when a restart is pending.
    if let fragment, isPending, !description.session.uses(fragment), let current = descriptions.currentRemote,
      current.session.uses(fragment)
    {
      (description, isPending) = (current, false)
    }
    let index = try place(mid, section, in: description.session)
    if let fragment, !description.session.uses(fragment) {
      throw .operation(section: index, "a candidate of other credentials than the description's")
    }
    try description.session.note(candidate, at: index, limit: configuration.limits.remoteCandidates)
    if isPending { descriptions.pendingRemote = description } else { descriptions.currentRemote = description }
    forward(candidate, at: index, description.session)
  }

  private func place(_ mid: String?, _ section: Int?, in session: SessionDescription) throws(NegotiationError) -> Int {
    if let mid {
      guard let index = session.section(mid: mid) else { throw .operation(section: section, "no section has the mid \(mid)") }
      return index
    }
    guard let section else { return session.answeredTransportSection ?? 0 }
    guard session.media.indices.contains(section) else { throw .operation(section: section, "there is no such section") }
    return section
  }

  /// To the transport, if it is connected with the credentials of this description.
  private mutating func forward(_ candidate: ICECandidate?, at index: Int, _ session: SessionDescription) {
    guard let connected, let transport = transportSection(session), session.media.indices.contains(transport),
      session.sharedTransport(transport).credentials == connected.credentials
    else { return }
    // Other sections of a bundle may have candidates of transports that it has made superfluous. A peer that knows no better puts all
    // into one section, though, whichever the answer chose.
    guard index == transport || session.media[transport].candidates.isEmpty else { return }
    raise(candidate.map { .remoteCandidate($0) } ?? .endOfRemoteCandidates)
  }

  /// The section whose transport the answer chose.
  func transportSection(_ session: SessionDescription) -> Int? {
    let answer = [descriptions.pendingLocal, descriptions.pendingRemote, descriptions.currentLocal, descriptions.currentRemote]
      .compactMap(\.self).first { $0.type.isAnswer }
    return answer?.session.answeredTransportSection ?? session.answeredTransportSection
  }

  /// Those that a description of the peer has had until now.
  mutating func raiseCandidates(of session: SessionDescription, _ transport: Int) {
    guard session.media.indices.contains(transport) else { return }
    let own = session.media[transport]
    let sections = own.candidates.isEmpty ? session.media : [own]
    let texts = sections.flatMap(\.candidates).prefix(configuration.limits.remoteCandidates)
    // One of a kind that is not known here is no reason to fail.
    for text in texts { if let candidate = try? ICECandidate(text) { raise(.remoteCandidate(candidate)) } }
    if own.hasEndOfCandidates || session.hasEndOfCandidates { raise(.endOfRemoteCandidates) }
  }
}

extension SessionDescription {
  fileprivate func uses(_ fragment: String) -> Bool {
    iceUfrag == fragment || media.contains { $0.iceUfrag == fragment }
  }

  fileprivate mutating func note(_ candidate: ICECandidate?, at index: Int, limit: Int) throws(NegotiationError) {
    guard let candidate else { return media[index].hasEndOfCandidates = true }
    guard media.reduce(0, { $0 + $1.candidates.count }) < limit else { throw .limit("remote candidates", maximum: limit) }
    media[index].candidates.append(candidate.attribute)
  }
}

extension ICECandidate {
  /// The value of `a=candidate:`.
  fileprivate var attribute: String { String(description.dropFirst("candidate:".count)) }
}
