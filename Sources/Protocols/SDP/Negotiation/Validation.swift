extension SessionDescription {
  /// Whether a session can be made of it: what RFC 8829 §5.8 asks of a remote description, and what would otherwise fail later
  /// with a worse explanation. Rejected sections may say anything.
  package func validateForWebRTC(as type: SDPType) throws(SDPError) {
    if type == .rollback { return }
    let sections = try sectionsByMid()
    let tagged = try checkBundles(sections)
    for index in media.indices where !media[index].isRejected {
      try checkFormats(index)
      // RFC 8843 §7.1.3: in a bundle the transport is that of the tagged section, and others need not repeat it.
      if tagged[index] == nil || tagged[index] == index { try checkTransport(index, type) }
    }
    try checkBundledIDs(tagged)
  }

  /// Whether this can answer `offer` (RFC 3264 §6): the same sections in the same order.
  package func validateAnswer(to offer: SessionDescription) throws(SDPError) {
    guard media.count == offer.media.count else {
      throw .unusable(section: nil, "an answer with \(media.count) sections to an offer with \(offer.media.count)")
    }
    for (index, (answered, offered)) in zip(media, offer.media).enumerated() {
      guard answered.kind == offered.kind else {
        throw .unusable(section: index, "an answer of kind \(answered.kind) where \(offered.kind) was offered")
      }
      guard answered.mid == offered.mid || (answered.mid == nil && answered.isRejected) else {
        throw .unusable(section: index, "an answer with mid \(answered.mid ?? "none") where \(offered.mid ?? "none") was offered")
      }
      guard !offered.isRejected || answered.isRejected else {
        throw .unusable(section: index, "an answer that accepts a section which was offered with port 0")
      }
    }
    let bundled = Set(offer.bundles.flatMap(\.mids))
    for mid in bundles.flatMap(\.mids) where !bundled.contains(mid) {
      throw .unusable(section: nil, "the answer bundles \(mid), which the offer did not")
    }
  }

  private func sectionsByMid() throws(SDPError) -> [String: Int] {
    var sections: [String: Int] = [:]
    for (index, section) in media.enumerated() {
      guard let mid = section.mid else { continue }
      guard sections.updateValue(index, forKey: mid) == nil else { throw .unusable(section: index, "the mid \(mid) for a second time") }
    }
    return sections
  }

  /// Answers, for each bundled section, the section with its transport.
  private func checkBundles(_ sections: [String: Int]) throws(SDPError) -> [Int: Int] {
    var tagged: [Int: Int] = [:]
    for bundle in bundles {
      var tag: Int?
      for mid in bundle.mids {
        guard let index = sections[mid] else { throw .unusable(section: nil, "the bundle names \(mid), which no section has as its mid") }
        guard tagged[index] == nil else { throw .unusable(section: index, "the mid \(mid) in a bundle for a second time") }
        if tag == nil, !media[index].isRejected { tag = index }
        tagged[index] = tag ?? index
      }
    }
    return tagged
  }

  private func checkFormats(_ index: Int) throws(SDPError) {
    let section = media[index]
    if section.transport.isSCTP {
      guard section.sctpPort != nil else { throw .unusable(section: index, "a data channel without an SCTP port") }
      return
    }
    let transport = section.transport.rawValue
    guard section.transport.isRTP else {
      throw .unusable(section: index, "the transport \(transport), expected UDP/TLS/RTP/SAVPF or UDP/DTLS/SCTP")
    }
    guard section.transport.isSecureRTP else {
      throw .unusable(section: index, "the transport \(transport) is not encrypted, expected UDP/TLS/RTP/SAVPF")
    }
    for format in section.formats {
      guard let type = UInt8(format), type < 128 else { throw .unusable(section: index, "\(format) is no RTP payload type from 0 to 127") }
    }
    try checkExtensions(index)
    try checkSimulcast(index)
  }

  private func checkExtensions(_ index: Int) throws(SDPError) {
    var ids: Set<UInt16> = []
    for map in extensions + media[index].extensions {
      guard map.id > 0, ids.insert(map.id).inserted else {
        throw .unusable(section: index, "the header extension id \(map.id) \(map.id == 0 ? "is reserved" : "for a second time")")
      }
    }
  }

  private func checkSimulcast(_ index: Int) throws(SDPError) {
    guard let simulcast = media[index].simulcast else { return }
    let rids = media[index].rids
    let (sent, received) = (Set(rids.filter(\.isSend).map(\.id)), Set(rids.filter { !$0.isSend }.map(\.id)))
    for (streams, known) in [(simulcast.send, sent), (simulcast.receive, received)] {
      for rid in streams.joined().map(\.rid) where !known.contains(rid) {
        throw .unusable(section: index, "simulcast names the rid \(rid), which no a=rid line of that direction explains")
      }
    }
  }

  private func checkTransport(_ index: Int, _ type: SDPType) throws(SDPError) {
    let transport = transport(of: index)
    // RFC 8839 §5.4: 24 bits of randomness at least in the one, 128 in the other.
    guard let ufrag = transport.ufrag, 4...256 ~= ufrag.utf8.count, ufrag.utf8.allSatisfy(isICECharacter) else {
      throw .unusable(section: index, "no a=ice-ufrag of 4 to 256 ICE characters")
    }
    guard let password = transport.password, 22...256 ~= password.utf8.count, password.utf8.allSatisfy(isICECharacter) else {
      throw .unusable(section: index, "no a=ice-pwd of 22 to 256 ICE characters")
    }
    guard !transport.fingerprints.isEmpty else { throw .unusable(section: index, "no a=fingerprint, without which DTLS cannot be trusted") }
    switch (type.isAnswer, transport.setup) {
    case (_, .holdconn): throw .unusable(section: index, "a=setup:holdconn, which DTLS does not know")
    case (true, .actpass), (true, nil): throw .unusable(section: index, "an answer must say a=setup:active or a=setup:passive")
    default: break
    }
  }

  /// RFC 8843 §9.1: a bundle is one RTP session, in which an id means one header extension and a payload type one codec.
  private func checkBundledIDs(_ tagged: [Int: Int]) throws(SDPError) {
    struct Key: Hashable { var tag: Int, id: UInt16 }
    var (extensions, codecs): ([Key: String], [Key: String]) = ([:], [:])
    for (index, section) in media.enumerated() where section.transport.isRTP && !section.isRejected {
      guard let tag = tagged[index] else { continue }
      for map in section.extensions where extensions.updateValue(map.uri, forKey: Key(tag: tag, id: map.id)) ?? map.uri != map.uri {
        throw .unusable(section: index, "the header extension id \(map.id) has another meaning in an earlier section of the bundle")
      }
      for codec in section.codecs {
        let name = "\(codec.name.lowercased())/\(codec.clockRate)"
        guard codecs.updateValue(name, forKey: Key(tag: tag, id: UInt16(codec.payloadType))) ?? name == name else {
          throw .unusable(section: index, "the payload type \(codec.payloadType) is another codec in an earlier section of the bundle")
        }
      }
    }
  }
}

/// `ice-char` of RFC 8839 §5.4, and what Google's ICE used besides.
private func isICECharacter(_ byte: UInt8) -> Bool {
  switch byte {
  case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
  case UInt8(ascii: "+"), UInt8(ascii: "/"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "="): true
  default: false
  }
}
