internal import MartletCrypto
internal import MartletICE
internal import MartletRTP
package import MartletSDP

extension PeerNegotiation {
  /// `createAnswer` (RFC 8829 §5.3) to the offer that was set. It serves as an answer and as a provisional one.
  package mutating func createAnswer() throws(NegotiationError) -> SessionDescription {
    guard signalingState == .haveRemoteOffer || signalingState == .haveLocalPranswer, let offer = descriptions.pendingRemote?.session
    else { throw .invalidState("createAnswer", signalingState) }
    var answer = CreatedDescription(type: .answer, session: offer.answerSkeleton(sessionID: 0), credentials: local.credentials)
    answer.session.origin = makeOrigin()
    answer.session.isICELite = local.isLite
    let bundled = bundledSections(of: offer)
    for index in offer.media.indices where !answer.session.media[index].isRejected {
      if bundled.contains(index), accept(index, of: offer, &answer) { continue }
      answer.session.reject(index)
    }
    if isRestarted(by: offer, answer.session) { answer.credentials = makeCredentials() }
    let writer = SectionWriter(local: local, credentials: answer.credentials, setup: answeredSetup(to: offer, answer.session))
    for index in answer.session.media.indices where !answer.session.media[index].isRejected {
      writer.writeTransport(to: &answer.session.media[index])
    }
    lastAnswer = answer
    return withCandidates(answer.session)
  }

  /// Whether the offer restarts ICE (RFC 8839 §4.4.3): then so do we. A pranswer has done it already.
  private func isRestarted(by offer: SessionDescription, _ answer: SessionDescription) -> Bool {
    guard signalingState == .haveRemoteOffer, let connected, let section = answer.answeredTransportSection else { return false }
    return offer.sharedTransport(section).credentials != connected.credentials
  }

  /// RFC 8829 §5.3.1: the sections that share the first one's transport; another is not to be had.
  private func bundledSections(of offer: SessionDescription) -> Set<Int> {
    guard let first = offer.media.indices.first(where: { !offer.media[$0].isRejected }) else { return [] }
    let tag = offer.transportSection(of: first)
    return Set(offer.media.indices.filter { offer.transportSection(of: $0) == tag })
  }

  private func answeredSetup(to offer: SessionDescription, _ answer: SessionDescription) -> SetupRole {
    // RFC 8842 §5.3: an association that exists keeps its roles.
    if let dtlsRole { return dtlsRole == .client ? .active : .passive }
    switch offer.sharedTransport(answer.answeredTransportSection ?? 0).setup {
    case .active: return .passive
    case .passive: return .active
    case .actpass, .holdconn, nil: return configuration.answeredSetup == .passive ? .passive : .active
    }
  }

  // MARK: Sections

  private func accept(_ index: Int, of offer: SessionDescription, _ answer: inout CreatedDescription) -> Bool {
    let offered = offer.media[index]
    guard let mid = offered.mid else { return false }
    if let form = offered.dataChannelForm {
      answer.session.media[index].setDataChannel(form, port: configuration.sctpPort, maxMessageSize: configuration.maxMessageSize)
      return true
    }
    guard offered.hasRTCPMux, let transceiver = transceiver(mid: mid) else { return false }
    answer.transceivers[index] = transceiver.id
    guard transceiver.isLive else { return false }
    return acceptTrack(transceiver, index, of: offer, &answer.session.media[index])
  }

  private func acceptTrack(
    _ transceiver: Transceiver, _ index: Int, of offer: SessionDescription, _ section: inout MediaDescription
  ) -> Bool {
    let offered = offer.media[index]
    let preferred = transceiver.codecPreferences
    let codecs = CodecNegotiation.answer(
      to: offered.codecs, supported: preferred.isEmpty ? configuration.codecs(transceiver.kind) : preferred,
      order: preferred.isEmpty ? configuration.codecOrder : .answerer)
    guard codecs.contains(where: \.isPrimary) else { return false }
    let direction = offer.direction(of: index).inverted.intersection(transceiver.direction)
    let supported = configuration.extensions(transceiver.kind)
    section.extensions = ExtensionMap.answer(
      to: offered.extensions, supported: Dictionary(uniqueKeysWithValues: supported.map { ($0.key.uri, $0.value) }),
      allowsMixed: offer.allowsMixedExtensions || offered.allowsMixedExtensions)
    section.direction = direction
    section.codecs = codecs
    let layers = sentLayers(of: transceiver, offered, direction)
    SectionWriter.write(transceiver, layers: layers, cname: cname, to: &section)
    let takesLayers = direction.receives && configuration.receivesSimulcast && transceiver.kind == .video
    SectionWriter.writeSimulcast(
      send: layers, receive: takesLayers ? offered.sentLayers(limit: configuration.limits.rids) : [], to: &section)
    return true
  }

  /// RFC 8853 §5.3.2: the layers that both know.
  private func sentLayers(of transceiver: Transceiver, _ offered: MediaDescription, _ direction: MediaDirection) -> [String] {
    guard direction.sends, transceiver.sender.isSimulcast else { return [] }
    let wanted = offered.receivedLayers(limit: configuration.limits.rids)
    let rids = transceiver.sender.encodings.compactMap(\.rid).filter(wanted.contains)
    return rids.count > 1 ? rids : []
  }
}

extension SessionDescription {
  /// What is said about the transport that carries everything, by the section the answer chose for it; one that was `bundle-only`
  /// leaves it to the first of its bundle.
  func sharedTransport(_ section: Int) -> TransportDescription {
    let own = transport(of: section)
    return own.credentials == nil ? transport(of: transportSection(of: section)) : own
  }
}

extension TransportDescription {
  var credentials: ICECredentials? {
    guard let ufrag, let password else { return nil }
    return ICECredentials(fragment: ufrag, password: password)
  }
}
