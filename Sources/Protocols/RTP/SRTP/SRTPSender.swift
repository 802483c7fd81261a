internal import MartletCrypto
internal import MartletPrimitives

/// Protects the packets that one side sends (RFC 3711, RFC 7714): any number of sources under one master key.
///
/// **An index never encrypts two contents.** The index of a packet is its nonce: with two contents under one, counter mode gives
/// away their difference, and GCM the key of its tags as well. So the sender remembers what it used. An index that is used, or
/// too old to tell, is refused. Where `SRTPLimits.repeats` allows the same packet to go out again, the sender keeps the end of
/// each tag: the repetition is encrypted, and if its tag differs, it is erased and refused. Nobody has to promise that a
/// retransmission is the same; it cannot be another. (A copy of the sender could break this, hence `~Copyable`.)
package struct SRTPSender: ~Copyable {
  private var sources: SourceTable<SentIndices>
  private let rtp: PacketCipher
  private let repeats: Bool
  package let profile: SRTPProfile
  private let rtcp: PacketCipher
  private let window: Int
  private var nextControlIndex: UInt32 = 0

  private struct SentIndices {
    var window: IndexWindow
    /// The end of each packet's tag by the window's slots; empty without repetitions.
    var tags: [UInt64]
  }

  package init(_ profile: SRTPProfile, _ master: SRTPMasterKey, limits: SRTPLimits = SRTPLimits()) {
    self.init(
      profile, rtp: SRTPSessionKeys(profile, master, .rtp), rtcp: SRTPSessionKeys(profile, master, .rtcp), limits: limits)
  }

  /// With session keys as they are, not derived.
  package init(_ profile: SRTPProfile, rtp: SRTPSessionKeys, rtcp: SRTPSessionKeys, limits: SRTPLimits = SRTPLimits()) {
    self.profile = profile
    self.rtp = PacketCipher(profile, rtp, .sealing, tagBytes: profile.rtpOverhead)
    self.rtcp = PacketCipher(profile, rtcp, .sealing, tagBytes: profile.rtcpTagBytes)
    window = limits.window
    // A tag of 32 bits does not tell contents apart well enough.
    repeats = limits.repeats && profile.rtpOverhead >= 8
    sources = SourceTable(maximum: limits.sources)
  }

  /// Writes the protected packet to the start of `destination`: the header as it is, the payload (with its padding) encrypted, and
  /// `profile.rtpOverhead` bytes of tag. Sequence numbers may come out of order within the window, and wrap.
  ///
  /// - Parameters:
  ///   - header: a whole RTP header, extension included.
  ///   - destination: overlaps neither header nor payload, unless the payload already lies where it is to go.
  /// - Returns: the bytes written.
  package mutating func protect(
    header: RawSpan, payload: RawSpan, into destination: UnsafeMutableRawBufferPointer
  ) throws(SRTPError) -> Int {
    let fields = try Self.parse(header)
    let count = header.byteCount + payload.byteCount + profile.rtpOverhead
    guard destination.count >= count else { throw .doesNotFit(needed: count, available: destination.count) }
    let claim = try claim(fields.sequenceNumber, of: fields.ssrc)
    let packet = UnsafeMutableRawBufferPointer(rebasing: destination[..<count])
    header.withUnsafeBytes { packet.copyMemory(from: $0) }
    payload.withUnsafeBytes { rtp.protectRTP($0, behind: header.byteCount, in: packet, ssrc: fields.ssrc, index: claim.index) }
    if repeats { try settle(claim, fields.ssrc, packet) }
    return count
  }

  /// Writes the protected form of a compound or reduced-size RTCP packet to the start of `destination`, which is longer by
  /// `profile.rtcpOverhead` and does not overlap it. Answers the bytes written.
  package mutating func protectControl(_ packet: RawSpan, into destination: UnsafeMutableRawBufferPointer) throws(SRTPError) -> Int {
    let ssrc = try controlSource(packet)
    let count = packet.byteCount + profile.rtcpOverhead
    guard destination.count >= count else { throw .doesNotFit(needed: count, available: destination.count) }
    // RFC 3711 §9.2: 2³¹ packets. One counter for all sources keeps every (source, index) apart and needs no table; to a
    // receiver it looks like losses.
    guard nextControlIndex < 1 << 31 else { throw .keyExhausted }
    let index = nextControlIndex
    nextControlIndex += 1
    packet.withUnsafeBytes {
      rtcp.protectRTCP($0, into: UnsafeMutableRawBufferPointer(rebasing: destination[..<count]), ssrc: ssrc, index: index)
    }
    return count
  }

  private static func parse(_ header: RawSpan) throws(SRTPError) -> RTPHeader {
    do throws(ParseError) {
      let fields = try RTPHeader(parsing: header)
      guard fields.byteCount == header.byteCount else { throw .invalid("bytes behind the RTP header", at: fields.byteCount) }
      return fields
    } catch { throw .malformed(error) }
  }

  // MARK: Indices

  private struct Claim {
    var slot: Int
    var index: UInt64
    var isRepetition: Bool
  }

  /// Takes the index for good, before anything is encrypted with it.
  private mutating func claim(_ sequenceNumber: UInt16, of ssrc: UInt32) throws(SRTPError) -> Claim {
    guard let slot = sources.slot(of: ssrc) else {
      let index = UInt64(sequenceNumber)
      let sent = IndexWindow(first: index, size: window)
      let tags = repeats ? [UInt64](repeating: 0, count: sent.size) : []
      return Claim(slot: try sources.insert(SentIndices(window: sent, tags: tags), for: ssrc), index: index, isRepetition: false)
    }
    let highest = sources[slot].window.highest
    guard let index = PacketIndex.guess(sequenceNumber, near: highest) else {
      if highest > 1 << 32 { throw .keyExhausted }
      // Before the first index there is none.
      throw .indexUsed(ssrc: ssrc, index: UInt64(sequenceNumber))
    }
    if sources[slot].window.isUsed(index) {
      guard repeats, !sources[slot].window.isTooOld(index) else { throw .indexUsed(ssrc: ssrc, index: index) }
      return Claim(slot: slot, index: index, isRepetition: true)
    }
    sources[slot].window.insert(index)
    return Claim(slot: slot, index: index, isRepetition: false)
  }

  /// Keeps the tag of a new packet; erases a repetition whose tag is another.
  private mutating func settle(_ claim: Claim, _ ssrc: UInt32, _ packet: UnsafeMutableRawBufferPointer) throws(SRTPError) {
    let tag = packet.loadUnaligned(fromByteOffset: packet.count - 8, as: UInt64.self)
    let place = sources[claim.slot].window.slot(claim.index)
    if !claim.isRepetition {
      sources[claim.slot].tags[place] = tag
    } else if sources[claim.slot].tags[place] != tag {
      packet.initializeMemory(as: UInt8.self, repeating: 0)
      throw .indexUsed(ssrc: ssrc, index: claim.index)
    }
  }
}

/// The SSRC of the first packet's sender, which names the source in SRTCP (RFC 3711 §3.4).
func controlSource(_ packet: RawSpan) throws(SRTPError) -> UInt32 {
  var reader = ByteReader(packet)
  do throws(ParseError) {
    let first = try reader.u8()
    guard first >> 6 == 2 else { throw .invalid("RTCP version \(first >> 6), expected 2", at: 0) }
    try reader.skip(3)
    return try reader.u32()
  } catch { throw .malformed(error) }
}
