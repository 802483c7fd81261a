/// What one RTCP datagram may hold. Most counts have a natural bound in the datagram's size; these are the ones that would
/// cost more memory than the bytes they came in.
package struct RTCPLimits: Sendable {
  /// Packets of a compound one.
  package var packets = 64
  /// Sequence numbers named by one generic NACK: a pair of 4 bytes names up to 17.
  package var nackedPackets = 1024
  /// Packets reported by one transport-wide feedback: a chunk of 2 bytes reports up to 8,191. Browsers report every 50 to 100 ms.
  package var feedbackPackets = 4096

  package init() {}
}
