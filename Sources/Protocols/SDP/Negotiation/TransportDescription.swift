/// What a section says about its transport, with what the session level says for all (RFC 8829 §5.8).
package struct TransportDescription: Equatable, Sendable {
  package var ufrag: String?, password: String?
  package var iceOptions: [String]
  package var isICELite: Bool
  package var fingerprints: [Fingerprint]
  package var setup: SetupRole?
}

extension SessionDescription {
  /// - Parameter section: an index of `media`; another one gives what the session says alone.
  package func transport(of section: Int) -> TransportDescription {
    let media = self.media.indices.contains(section) ? self.media[section] : nil
    let own = media?.fingerprints ?? []
    return TransportDescription(
      ufrag: media?.iceUfrag ?? iceUfrag, password: media?.icePwd ?? icePwd,
      iceOptions: iceOptions + (media?.iceOptions ?? []).filter { !iceOptions.contains($0) }, isICELite: isICELite,
      fingerprints: own.isEmpty ? fingerprints : own, setup: media?.setup ?? setup)
  }

  /// RFC 8843 §7.2: the section whose transport a bundled section uses, the first of its bundle that is not rejected; the
  /// section itself otherwise.
  package func transportSection(of section: Int) -> Int {
    guard media.indices.contains(section), let mid = media[section].mid else { return section }
    guard let bundle = bundles.first(where: { $0.mids.contains(mid) }) else { return section }
    for mid in bundle.mids {
      if let tagged = self.section(mid: mid), !media[tagged].isRejected { return tagged }
    }
    return section
  }

  /// The direction of a section with its defaults (RFC 8866 §6.7).
  package func direction(of section: Int) -> MediaDirection {
    (media.indices.contains(section) ? media[section].direction : nil) ?? direction ?? .sendrecv
  }
}

extension SetupRole {
  /// RFC 8842 §5.3: what to answer. Who may choose opens the connection, so that DTLS begins with the answer.
  package var answer: SetupRole { self == .active ? .passive : .active }
}
