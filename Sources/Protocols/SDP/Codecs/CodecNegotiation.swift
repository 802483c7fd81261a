/// Whose order of codecs an answer follows; the first of it is what will be sent.
package enum CodecOrder: Sendable { case offerer, answerer }

/// The codecs of an answer (RFC 3264 §6.1): those of an offer that we have too, with the payload types of the offer.
package struct CodecNegotiation {
  private struct Match {
    var codec: RTPCodec
    /// Places in the offer and among ours.
    var offered: Int, ours: Int
  }

  private let offered: [RTPCodec], ours: [RTPCodec]
  private var matches: [Match] = []

  /// - Parameter supported: in the order of preference. An RTX among them names by its `apt` the codec it belongs to, by the
  ///   payload type that this list uses.
  package static func answer(to offered: [RTPCodec], supported: [RTPCodec], order: CodecOrder = .offerer) -> [RTPCodec] {
    var negotiation = CodecNegotiation(offered: offered, ours: supported)
    negotiation.match()
    return negotiation.result(order)
  }

  private init(offered: [RTPCodec], ours: [RTPCodec]) {
    self.offered = offered
    self.ours = ours
  }

  private mutating func match() {
    var taken: Set<UInt8> = []
    func add(_ index: Int, _ match: (RTPCodec) -> Match?) {
      guard !taken.contains(offered[index].payloadType), let match = match(offered[index]) else { return }
      taken.insert(match.codec.payloadType)
      matches.append(match)
    }
    let all = offered.indices
    for index in all where offered[index].isPrimary { add(index) { matchByFormat($0, at: index) } }
    guard !matches.isEmpty else { return }
    for index in all where !offered[index].isPrimary && !offered[index].isNamed("rtx") {
      add(index) { codec in
        codec.redundantPayloadTypes.allSatisfy(taken.contains) ? matchByFormat(codec, at: index) : nil
      }
    }
    for index in all where offered[index].isNamed("rtx") { add(index) { matchRetransmission($0, at: index) } }
  }

  private func matchByFormat(_ codec: RTPCodec, at index: Int) -> Match? {
    for (place, own) in ours.enumerated() {
      if let answer = codec.answer(with: own) { return Match(codec: answer, offered: index, ours: place) }
    }
    return nil
  }

  /// RFC 4588 §8.6: an RTX is accepted with the codec it repairs, when we retransmit that one.
  private func matchRetransmission(_ codec: RTPCodec, at index: Int) -> Match? {
    guard let repaired = matches.first(where: { $0.codec.payloadType == codec.associatedPayloadType }) else { return nil }
    let ownType = ours[repaired.ours].payloadType
    guard let place = ours.firstIndex(where: { $0.associatedPayloadType == ownType }) else { return nil }
    guard let answer = codec.answer(with: ours[place]) else { return nil }
    return Match(codec: answer, offered: index, ours: place)
  }

  private func result(_ order: CodecOrder) -> [RTPCodec] {
    switch order {
    case .offerer: matches.sorted { $0.offered < $1.offered }.map(\.codec)
    case .answerer: matches.sorted { ($0.ours, $0.offered) < ($1.ours, $1.offered) }.map(\.codec)
    }
  }
}
