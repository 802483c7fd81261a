import MartletWeb
import Testing

@Suite struct RouterTests {}
