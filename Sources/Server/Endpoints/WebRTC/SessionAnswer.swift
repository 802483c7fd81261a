internal import MartletCodecs
internal import MartletCrypto
internal import MartletICE
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletRTP
internal import MartletSDP

/// The answer of a server to one offer (RFC 9725 §4.2: one offer, one answer, and that is the session), and what follows from both.
internal struct SessionAnswer {
  /// What an offer is answered for.
  internal enum Purpose { case receive, send, data }

  /// A section that this side sends in.
  internal struct Outgoing {
    let mid: String
    let kind: MediaKind
    let ssrc: UInt32
    let rtx: UInt32
    let fec: UInt32
    /// Negotiated, with the offerer's payload types.
    let codecs: [RTPCodec]
    let extensions: HeaderExtensions

    var forwarded: ForwardedSection { ForwardedSection(kind: kind, codecs: codecs) }
  }

  private(set) var description: SessionDescription
  private(set) var incoming: [IncomingSection] = []
  private(set) var outgoing: [Outgoing] = []
  /// The largest message the peer takes on a data channel, if there is such a section.
  private(set) var dataChannel: (port: UInt16, maximumMessage: UInt64)?
  internal let remote: ICECredentials
  internal let remoteIsLite: Bool
  internal let fingerprints: [CertificateFingerprint]
  internal let role: DTLSEngine.Role
  internal let remoteCandidates: [String]

  private let offer: SessionDescription
  private let purpose: Purpose
  private var mainSection: Int

  internal enum Failure: Error, CustomStringConvertible {
    case malformed(SDPError)
    case unusable(String)

    var description: String {
      switch self {
      case .malformed(let error): "the offer: \(error)"
      case .unusable(let why): why
      }
    }
  }

  /// - Parameters:
  ///   - preferred: codecs that the stream has now; they come first.
  internal init(_ text: String, for purpose: Purpose, preferred: [Codec] = [], random: inout RandomSource) throws(Failure) {
    do throws(SDPError) {
      offer = try SessionDescription(text)
      try offer.validateForWebRTC(as: .offer)
    } catch { throw .malformed(error) }
    self.purpose = purpose
    let skeleton = offer.answerSkeleton(sessionID: random.next() >> 2)
    description = skeleton
    guard let first = skeleton.media.firstIndex(where: { !$0.isRejected }) else {
      throw .unusable("the offer has no section that can be accepted")
    }
    mainSection = offer.transportSection(of: first)
    let transport = offer.transport(of: mainSection)
    remote = ICECredentials(fragment: transport.ufrag ?? "", password: transport.password ?? "")
    remoteIsLite = transport.isICELite
    fingerprints = transport.fingerprints.compactMap { CertificateFingerprint(algorithm: $0.algorithm, digest: $0.bytes) }
    guard !fingerprints.isEmpty else { throw .unusable("no fingerprint with SHA-1, SHA-256, SHA-384 or SHA-512") }
    // The offerer begins DTLS where it may choose: it is the one that can reach this server.
    role = transport.setup == .passive ? .client : .server
    remoteCandidates = offer.media[mainSection].candidates
    let bundled = Set(offer.media.indices.filter { offer.transportSection(of: $0) == mainSection })
    for index in offer.media.indices where !description.media[index].isRejected {
      // One transport for everything; what was not offered in its bundle would need another.
      guard bundled.contains(index), accept(index, preferred, &random) else {
        description.reject(index)
        continue
      }
    }
    guard description.media.contains(where: { !$0.isRejected }) else { throw .unusable(Self.refusal(offer, purpose)) }
  }

  private static func refusal(_ offer: SessionDescription, _ purpose: Purpose) -> String {
    let names = Set(offer.media.flatMap { $0.codecs.filter(\.isPrimary).map(\.name) }).sorted().joined(separator: ", ")
    return switch purpose {
    case .receive: "nothing in the offer can be received: it must send audio or video (sendonly) in a codec known here; it has \(names)"
    case .send: "nothing in the offer can be sent to: it must receive audio or video (recvonly) in a codec known here; it has \(names)"
    case .data: "the offer has no data channel"
    }
  }

  // MARK: Sections

  private mutating func accept(_ index: Int, _ preferred: [Codec], _ random: inout RandomSource) -> Bool {
    switch (offer.media[index].kind, purpose) {
    case (.application, _):
      guard purpose == .data, let form = offer.media[index].dataChannelForm, let port = offer.media[index].sctpPort else { return false }
      dataChannel = (port, offer.media[index].maxMessageSize ?? Self.defaultMessage)
      description.media[index].setDataChannel(form, port: port, maxMessageSize: Self.maximumMessage)
      return true
    case (.audio, .receive), (.video, .receive): return acceptIncoming(index)
    case (.audio, .send), (.video, .send): return acceptOutgoing(index, preferred, &random)
    default: return false
    }
  }

  /// RFC 8841 §6.1: where nothing is said.
  private static let defaultMessage: UInt64 = 65_536
  internal static let maximumMessage: UInt64 = 262_144

  private mutating func acceptIncoming(_ index: Int) -> Bool {
    let offered = offer.media[index]
    let isVideo = offered.kind == .video
    guard offer.direction(of: index).sends, let mid = offered.mid else { return false }
    let supported = isVideo ? CodecPreferences.incomingVideo : CodecPreferences.incomingAudio
    var codecs = CodecNegotiation.answer(to: offered.codecs, supported: supported, order: .answerer)
    // One codec, so that what is published does not change on the way.
    guard let first = codecs.first(where: \.isPrimary) else { return false }
    let auxiliary = codecs.filter { $0.isNamed("red") || $0.isNamed("ulpfec") }
    let carried = [first] + (auxiliary.count == 2 && offered.simulcast == nil ? auxiliary : [])
    codecs = carried + codecs.filter { rtx in carried.contains { rtx.associatedPayloadType == $0.payloadType } }
    let extensions = ExtensionMap.answer(
      to: offered.extensions, supported: Self.receivedExtensions,
      allowsMixed: offer.allowsMixedExtensions || offered.allowsMixedExtensions)
    let rids = offered.simulcast?.send.compactMap { $0.first?.rid } ?? []
    description.media[index].direction = .recvonly
    description.media[index].extensions = extensions
    description.media[index].codecs = codecs
    if !rids.isEmpty {
      description.media[index].rids = rids.map { RID(id: $0, isSend: false) }
      description.media[index].simulcast = Simulcast(receive: rids.map { [Simulcast.Alternative(rid: $0)] })
    }
    incoming.append(
      IncomingSection(
        mid: mid, kind: offered.kind, codecs: codecs, extensions: HeaderExtensions(extensions), rids: rids,
        announced: Self.announced(offered)))
    return true
  }

  private static let receivedExtensions: [String: MediaDirection] = {
    let kinds: [HeaderExtensionKind] = [.mid, .rid, .repairedRID, .transportSequenceNumber, .absoluteSendTime, .audioLevel]
    return Dictionary(uniqueKeysWithValues: kinds.map { ($0.uri, MediaDirection.recvonly) })
  }()

  /// What a viewer measures the path by: numbers, or without them the times of sending.
  private func sentExtensions(to offered: MediaDescription) -> [ExtensionMap] {
    for kind in [HeaderExtensionKind.transportSequenceNumber, .absoluteSendTime] {
      let taken = ExtensionMap.answer(
        to: offered.extensions, supported: [kind.uri: .sendonly],
        allowsMixed: offer.allowsMixedExtensions || offered.allowsMixedExtensions)
      if !taken.isEmpty { return taken }
    }
    return []
  }

  private static func announced(_ section: MediaDescription) -> [IncomingSection.Announced] {
    guard section.simulcast == nil else { return [] }
    let pairs = section.ssrcGroups.filter { $0.semantics == "FID" && $0.ssrcs.count == 2 }
    let repairs = Set(pairs.map { $0.ssrcs[1] })
    var seen: Set<UInt32> = []
    let sources = section.ssrcs.map(\.ssrc).filter { !repairs.contains($0) && seen.insert($0).inserted }
    // One source a section without simulcast; others are leftovers.
    return sources.prefix(1).map { ssrc in
      IncomingSection.Announced(ssrc: ssrc, rtx: pairs.first { $0.ssrcs[0] == ssrc }?.ssrcs[1])
    }
  }

  private mutating func acceptOutgoing(_ index: Int, _ preferred: [Codec], _ random: inout RandomSource) -> Bool {
    let offered = offer.media[index]
    let kind: MediaKind = offered.kind == .video ? .video : .audio
    guard offer.direction(of: index).receives, let mid = offered.mid, !outgoing.contains(where: { $0.kind == kind }) else { return false }
    let supported = kind == .video ? CodecPreferences.outgoingVideo : CodecPreferences.outgoingAudio
    var codecs = CodecNegotiation.answer(to: offered.codecs, supported: supported, order: .offerer)
    guard codecs.contains(where: \.isPrimary) else { return false }
    let isPreferred = { (codec: RTPCodec) in codec.media.map(preferred.contains) ?? false }
    codecs = codecs.filter(isPreferred) + codecs.filter { !isPreferred($0) }
    let extensions = sentExtensions(to: offered)
    let section = Outgoing(
      mid: mid, kind: kind, ssrc: UInt32.random(in: 1...UInt32.max, using: &random), rtx: UInt32.random(in: 1...UInt32.max, using: &random),
      fec: UInt32.random(in: 1...UInt32.max, using: &random), codecs: codecs, extensions: HeaderExtensions(extensions))
    description.media[index].direction = .sendonly
    description.media[index].extensions = extensions
    description.media[index].codecs = codecs
    description.media[index].msids = [MediaStreamID(stream: "martlet", track: kind.rawValue)]
    var attributes = [SSRCAttribute(ssrc: section.ssrc, name: "cname", value: Self.cname)]
    if codecs.contains(where: { $0.associatedPayloadType != nil }) {
      description.media[index].ssrcGroups = [SSRCGroup(semantics: "FID", ssrcs: [section.ssrc, section.rtx])]
      attributes.append(SSRCAttribute(ssrc: section.rtx, name: "cname", value: Self.cname))
    }
    if codecs.contains(where: { $0.isNamed("flexfec-03") }) {
      description.media[index].ssrcGroups.append(SSRCGroup(semantics: "FEC-FR", ssrcs: [section.ssrc, section.fec]))
      attributes.append(SSRCAttribute(ssrc: section.fec, name: "cname", value: Self.cname))
    }
    description.media[index].ssrcs = attributes
    outgoing.append(section)
    return true
  }

  /// One for audio and video, so that they are played in step (RFC 3550 §6.5.1).
  internal static let cname = "martlet"

  // MARK: Transport

  /// Fills in this side of the transport.
  /// - Parameter candidates: as SDP has them, without `candidate:`.
  internal mutating func setTransport(_ credentials: ICECredentials, _ fingerprint: CertificateFingerprint, candidates: [String]) {
    description.isICELite = true
    let mark = Fingerprint(algorithm: fingerprint.algorithmName, bytes: fingerprint.digest)
    for index in description.media.indices where !description.media[index].isRejected {
      description.media[index].iceUfrag = credentials.fragment
      description.media[index].icePwd = credentials.password
      description.media[index].fingerprints = [mark]
      description.media[index].setup = role == .server ? .passive : .active
      guard index == mainSection || offer.transportSection(of: index) == mainSection && isFirstAccepted(index) else { continue }
      description.media[index].candidates = candidates
      description.media[index].hasEndOfCandidates = true
    }
  }

  private func isFirstAccepted(_ index: Int) -> Bool { description.media.firstIndex { !$0.isRejected } == index }
}
