internal import MartletICE
package import MartletSDP

extension PeerNegotiation {
  /// What a section of an offer is for.
  private enum Content {
    case track(Transceiver.ID)
    case data
    case rejected
  }

  /// `createOffer` (RFC 8829 §5.2): the sections there are, in their order, then one for each transceiver that has none, and one for
  /// data channels if there are any.
  ///
  /// - Parameter restartICE: with new credentials, as after `restartICE()`.
  package mutating func createOffer(restartICE: Bool = false) throws(NegotiationError) -> SessionDescription {
    guard signalingState == .stable || signalingState == .haveLocalOffer else { throw .invalidState("createOffer", signalingState) }
    let contents = plan()
    guard contents.count <= configuration.limits.sections else { throw .limit("sections", maximum: configuration.limits.sections) }
    let isCarried = contents.contains { if case .rejected = $0 { false } else { true } }
    // Without a section there is nothing that could tell them.
    let credentials = isCarried && (restartICE || needsRestart) ? makeCredentials() : local.credentials
    let writer = SectionWriter(local: local, credentials: credentials, setup: .actpass)
    var offer = CreatedDescription(type: .offer, session: SessionDescription(origin: makeOrigin()), credentials: credentials)
    offer.session.isICELite = local.isLite
    offer.session.allowsMixedExtensions = true
    let sessions = [descriptions.currentLocal, descriptions.currentRemote, descriptions.pendingLocal].compactMap { $0?.session }
    var (types, extensions) = (PayloadTypes(sessions), ExtensionIDs(sessions))
    for (index, content) in contents.enumerated() {
      switch content {
      case .track(let id):
        guard let transceiver = transceiver(id) else { continue }
        let section = offerTrack(transceiver, at: index, writer, &types, &extensions)
        guard section.codecs.contains(where: \.isPrimary) else { throw .operation(section: index, "the session has no payload type left") }
        offer.transceivers[index] = id
        offer.session.media.append(section)
      case .data: offer.session.media.append(offerData(at: index, writer))
      case .rejected: offer.session.media.append(rejected(at: index))
      }
    }
    let mids = offer.session.media.compactMap { $0.isRejected ? nil : $0.mid }
    if !mids.isEmpty { offer.session.groups = [.bundle(mids)] }
    lastOffer = offer
    return withCandidates(offer.session)
  }

  private var needsRestart: Bool { credentialsToReplace == local.credentials }

  // MARK: Which sections

  private func plan() -> [Content] {
    var contents = (0..<descriptions.sectionCount).map { content(at: $0) }
    func place(_ content: Content) {
      let free = contents.indices.first { index in
        if case .rejected = contents[index] { return isFree(index) }
        return false
      }
      if let free { contents[free] = content } else { contents.append(content) }
    }
    for transceiver in transceivers where transceiver.mid == nil && transceiver.isLive { place(.track(transceiver.id)) }
    let hasData = contents.contains { if case .data = $0 { true } else { false } }
    if usesDataChannels, !hasData { place(.data) }
    return contents
  }

  private func content(at index: Int) -> Content {
    guard let section = previous(index) else { return .rejected }
    if section.kind == .application { return section.isRejected ? .rejected : .data }
    guard let mid = section.mid, let owner = transceiver(mid: mid), owner.isLive else { return .rejected }
    return .track(owner.id)
  }

  /// A section as we described it last, or the peer, where we have not.
  private func previous(_ index: Int) -> MediaDescription? {
    for description in [descriptions.local, descriptions.remote] {
      if let media = description?.session.media, media.indices.contains(index) { return media[index] }
    }
    return nil
  }

  /// Rejected before this offer, and nobody's.
  private func isFree(_ index: Int) -> Bool {
    guard descriptions.isRecyclable(index), let mid = previous(index)?.mid else { return descriptions.isRecyclable(index) }
    return transceiver(mid: mid) == nil
  }

  // MARK: What they say

  private mutating func offerTrack(
    _ transceiver: Transceiver, at index: Int, _ writer: SectionWriter, _ types: inout PayloadTypes, _ extensions: inout ExtensionIDs
  ) -> MediaDescription {
    let former = transceiver.mid == nil ? nil : previous(index)
    var section = MediaDescription(
      kind: transceiver.kind.section, transport: former?.transport ?? .udpTLSRTPSAVPF, formats: [])
    section.connection = .unspecified
    section.mid = transceiver.mid ?? makeMid()
    writer.writeTransport(to: &section)
    section.extensions = extensions.offer(configuration.extensions(transceiver.kind))
    section.direction = transceiver.direction
    section.hasRTCPMux = true
    section.hasReducedSizeRTCP = true
    section.codecs = types.assign(codecs(of: transceiver, former))
    let layers = transceiver.direction.sends && transceiver.sender.isSimulcast ? transceiver.sender.encodings.compactMap(\.rid) : []
    SectionWriter.write(transceiver, layers: layers, cname: cname, to: &section)
    SectionWriter.writeSimulcast(send: layers, receive: receivedLayers(of: transceiver, at: index), to: &section)
    return section
  }

  /// The preferences of the transceiver; without, what is in use comes first, so that an offer does not change it by the way.
  private func codecs(of transceiver: Transceiver, _ former: MediaDescription?) -> [RTPCodec] {
    let known = configuration.codecs(transceiver.kind)
    guard transceiver.codecPreferences.isEmpty else { return transceiver.codecPreferences }
    guard let former else { return known }
    let used = former.codecs.compactMap { codec in known.firstIndex { $0.associatedPayloadType == nil && codec.answer(with: $0) != nil } }
    return used.uniqued().map { known[$0] } + known.indices.filter { !used.contains($0) }.map { known[$0] }
  }

  /// RFC 8829 §5.2.2: the layers that the peer sends by agreement stay.
  private func receivedLayers(of transceiver: Transceiver, at index: Int) -> [String] {
    guard configuration.receivesSimulcast, transceiver.direction.receives, let mid = transceiver.mid else { return [] }
    guard let media = descriptions.currentRemote?.session.media, media.indices.contains(index), media[index].mid == mid else { return [] }
    return media[index].sentLayers(limit: configuration.limits.rids)
  }

  private mutating func offerData(at index: Int, _ writer: SectionWriter) -> MediaDescription {
    let former = previous(index).flatMap { $0.dataChannelForm == nil || $0.isRejected ? nil : $0 }
    var section = MediaDescription(kind: .application, transport: former?.transport ?? .udpDTLSSCTP, formats: [])
    section.connection = .unspecified
    section.mid = former?.mid ?? makeMid()
    writer.writeTransport(to: &section)
    section.setDataChannel(
      former?.dataChannelForm ?? .standard, port: configuration.sctpPort, maxMessageSize: configuration.maxMessageSize)
    return section
  }

  private func rejected(at index: Int) -> MediaDescription {
    var section = previous(index) ?? MediaDescription(kind: .audio, transport: .udpTLSRTPSAVPF, formats: ["0"])
    section.port = 0
    section.attributes = section.mid.map { [.mid($0)] } ?? []
    return section
  }
}

extension Array where Element: Hashable {
  /// Each element once, where it stands first.
  fileprivate func uniqued() -> [Element] {
    var seen: Set<Element> = []
    return filter { seen.insert($0).inserted }
  }
}
