internal import MartletCrypto
internal import MartletPrimitives

/// Verifies and decrypts the packets of one peer (RFC 3711, RFC 7714), in place. What a source has sent is remembered only once a
/// tag of its was right, so nobody without the key can make it grow.
package struct SRTPReceiver: ~Copyable {
  package let profile: SRTPProfile
  private let rtp: PacketCipher
  private let rtcp: PacketCipher
  private let window: Int
  private var sources: SourceTable<IndexWindow>
  private var controlSources: SourceTable<IndexWindow>

  package init(_ profile: SRTPProfile, _ master: SRTPMasterKey, limits: SRTPLimits = SRTPLimits()) {
    self.init(
      profile, rtp: SRTPSessionKeys(profile, master, .rtp), rtcp: SRTPSessionKeys(profile, master, .rtcp), limits: limits)
  }

  /// With session keys as they are, not derived.
  package init(_ profile: SRTPProfile, rtp: SRTPSessionKeys, rtcp: SRTPSessionKeys, limits: SRTPLimits = SRTPLimits()) {
    self.profile = profile
    self.rtp = PacketCipher(profile, rtp, .opening, tagBytes: profile.rtpOverhead)
    self.rtcp = PacketCipher(profile, rtcp, .opening, tagBytes: profile.rtcpTagBytes)
    window = limits.window
    sources = SourceTable(maximum: limits.sources)
    controlSources = SourceTable(maximum: limits.sources)
  }

  /// Answers how many bytes the RTP packet at the start of `packet` has. When it throws, the content of `packet` is lost.
  package mutating func unprotect(_ packet: UnsafeMutableRawBufferPointer) throws(SRTPError) -> Int {
    let header: RTPHeader
    do throws(ParseError) {
      header = try RTPHeader(parsing: UnsafeRawBufferPointer(packet).bytes)
      let needed = header.byteCount + profile.rtpOverhead
      guard packet.count >= needed else { throw .truncated(at: packet.count, needed: needed - packet.count) }
    } catch { throw .malformed(error) }
    let slot = sources.slot(of: header.ssrc)
    if slot == nil, sources.isFull { throw .tooManySources(maximum: sources.maximum) }
    let index = try index(header, slot)
    guard let count = rtp.unprotectRTP(packet, headerBytes: header.byteCount, ssrc: header.ssrc, index: index) else {
      throw .authenticationFailed(ssrc: header.ssrc)
    }
    try sources.record(index, of: header.ssrc, slot, window)
    return count
  }

  /// RFC 3711 §3.3: the index is guessed from the sequence number and looked up before anything is computed. The first packet of
  /// a source has a roll-over counter of zero.
  private func index(_ header: RTPHeader, _ slot: Int?) throws(SRTPError) -> UInt64 {
    guard let slot else { return UInt64(header.sequenceNumber) }
    guard let index = PacketIndex.guess(header.sequenceNumber, near: sources[slot].highest) else {
      throw .replayed(ssrc: header.ssrc, index: UInt64(header.sequenceNumber))
    }
    guard !sources[slot].isUsed(index) else { throw .replayed(ssrc: header.ssrc, index: index) }
    return index
  }

  /// Answers how many bytes the RTCP packet at the start of `packet` has. When it throws, the content of `packet` is lost.
  package mutating func unprotectControl(_ packet: UnsafeMutableRawBufferPointer) throws(SRTPError) -> Int {
    let ssrc = try controlSource(UnsafeRawBufferPointer(packet).bytes)
    let needed = PacketCipher.controlHeaderBytes + profile.rtcpOverhead
    guard packet.count >= needed else { throw .malformed(.truncated(at: packet.count, needed: needed - packet.count)) }
    let trailer = rtcp.controlTrailer(UnsafeRawBufferPointer(packet))
    guard trailer >> 31 == 1 else { throw .unencrypted(ssrc: ssrc) }
    let index = UInt64(trailer & 0x7FFF_FFFF)
    let slot = controlSources.slot(of: ssrc)
    if let slot {
      guard !controlSources[slot].isUsed(index) else { throw .replayed(ssrc: ssrc, index: index) }
    } else if controlSources.isFull {
      throw .tooManySources(maximum: controlSources.maximum)
    }
    guard let count = rtcp.unprotectRTCP(packet, ssrc: ssrc, trailer: trailer) else { throw .authenticationFailed(ssrc: ssrc) }
    try controlSources.record(index, of: ssrc, slot, window)
    return count
  }
}

extension SourceTable where Element == IndexWindow {
  /// The packet was genuine.
  fileprivate mutating func record(_ index: UInt64, of ssrc: UInt32, _ slot: Int?, _ window: Int) throws(SRTPError) {
    if let slot {
      self[slot].insert(index)
    } else {
      try insert(IndexWindow(first: index, size: window), for: ssrc)
    }
  }
}
