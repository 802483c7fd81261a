/// What a sender of RTP may make a depacketizer hold.
package struct PayloadLimits: Sendable {
  /// Bytes of an access unit, the fragment that is under way included.
  package var accessUnitBytes = 4 * 1024 * 1024
  /// Packets of an access unit: 4 MiB in packets of 1,100 bytes.
  package var accessUnitPackets = 4096

  package init() {}
}
