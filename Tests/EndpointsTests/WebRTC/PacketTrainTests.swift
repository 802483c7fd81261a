import MartletMedia
import MartletPrimitives
import Testing

@testable import MartletEndpoints

struct PacketTrainTests {
  private let start = Instant(nanoseconds: 1_000_000_000)

  private func packet(_ sequence: UInt16, marker: Bool) -> StreamPacket {
    StreamPacket(
      track: 0, layer: 0, source: 1, sequence: sequence, timestamp: 90, marker: marker, startsKeyFrame: false,
      payload: Slice(copying: [UInt8(1)].span.bytes))
  }

  @Test func `a picture leaves when it is whole`() throws {
    var train = PacketTrain()
    train.append(packet(1, marker: false), isPicture: true, now: start)
    train.append(packet(2, marker: false), isPicture: true, now: start)
    let early = train.take(now: start)
    #expect(early == nil)
    train.append(packet(3, marker: true), isPicture: true, now: start + .milliseconds(1))
    let whole = train.take(now: start + .milliseconds(1))
    #expect(whole?.map(\.sequence) == [1, 2, 3])
    #expect(train.deadline == nil)
  }

  @Test func `one that does not end is not waited for`() throws {
    var train = PacketTrain()
    train.append(packet(1, marker: false), isPicture: true, now: start)
    let deadline = try #require(train.deadline)
    let early = train.take(now: deadline - .microseconds(1))
    let late = train.take(now: deadline)
    #expect(early == nil)
    #expect(late?.map(\.sequence) == [1])
    let nothing = train.take(now: deadline + .seconds(1))
    #expect(nothing == nil)
  }

  @Test func `sound waits only for the picture that it came among`() throws {
    var train = PacketTrain()
    train.append(packet(1, marker: false), isPicture: false, now: start)
    let alone = train.take(now: start)
    #expect(alone?.count == 1)
    train.append(packet(2, marker: false), isPicture: true, now: start)
    train.append(packet(3, marker: false), isPicture: false, now: start)
    let among = train.take(now: start)
    #expect(among == nil)
    train.append(packet(4, marker: true), isPicture: true, now: start)
    let together = train.take(now: start)
    #expect(together?.count == 3)
  }
}
