extension SessionDescription {
  /// The frame of an answer to this offer (RFC 8829 §5.3.1): the same sections in the same order, accepted where both sides can,
  /// directions seen from here, and the bundle. Codecs, extensions, credentials and candidates are for the caller to fill in;
  /// what he cannot use he rejects.
  package func answerSkeleton(sessionID: UInt64) -> SessionDescription {
    var answer = SessionDescription(origin: Origin(sessionID: sessionID))
    answer.allowsMixedExtensions = allowsMixedExtensions
    if msidSemantic != nil { answer.msidSemantic = MSIDSemantic() }
    // One bundle: peers with several transports are told to use the first for what it names.
    if let bundle = bundles.first { answer.groups = [.bundle(bundle.mids)] }
    answer.media = media.indices.map { answerSection($0) }
    for index in media.indices where !isAcceptable(index) { answer.reject(index) }
    return answer
  }

  private func isAcceptable(_ index: Int) -> Bool {
    let section = media[index]
    guard !section.isRejected else { return false }
    switch section.kind {
    case .audio, .video: return section.transport.isSecureRTP
    case .application: return section.dataChannelForm != nil
    case .other: return false
    }
  }

  private func answerSection(_ index: Int) -> MediaDescription {
    let offered = media[index]
    var section = MediaDescription(kind: offered.kind, transport: offered.transport, formats: offered.formats)
    section.connection = .unspecified
    section.mid = offered.mid
    guard offered.transport.isRTP else { return section }
    section.direction = direction(of: index).inverted
    section.hasRTCPMux = offered.hasRTCPMux
    section.hasReducedSizeRTCP = offered.hasReducedSizeRTCP
    section.allowsMixedExtensions = offered.allowsMixedExtensions
    return section
  }

  /// Rejects a section (RFC 8829 §5.3.1): port 0, out of the bundle, and nothing but its `mid`.
  package mutating func reject(_ index: Int) {
    guard media.indices.contains(index) else { return }
    let mid = media[index].mid
    media[index].port = 0
    media[index].attributes = []
    media[index].mid = mid
    guard let mid else { return }
    groups = groups.compactMap { group in
      let left = group.mids.filter { $0 != mid }
      return left.isEmpty ? nil : SDPGroup(semantics: group.semantics, mids: left)
    }
  }
}

extension ExtensionMap {
  /// The extensions of an answer (RFC 8285 §8): those that both sides know, with the ids of the offer. An id that one-byte
  /// headers cannot carry is left out unless mixed headers were offered.
  /// - Parameters:
  ///   - supported: by URI, with the direction seen from here.
  ///   - allowsMixed: whether the offer has `extmap-allow-mixed`, in the section or for the session.
  package static func answer(
    to offered: [ExtensionMap], supported: [String: MediaDirection], allowsMixed: Bool
  ) -> [ExtensionMap] {
    var uris: Set<String> = []
    return offered.compactMap { map in
      guard let ours = supported[map.uri], 1...(allowsMixed ? 255 : 14) ~= map.id else { return nil }
      let direction = (map.direction ?? .sendrecv).inverted.intersection(ours)
      guard direction != .inactive, uris.insert(map.uri).inserted else { return nil }
      return ExtensionMap(id: map.id, direction: direction == .sendrecv ? nil : direction, uri: map.uri)
    }
  }
}
