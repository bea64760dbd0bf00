`timescale 1ns / 1ps
`default_nettype none

// every row once
// An event may enter every cycle; its result leaves 10 cycles later.
module jet_tagger (
    input wire clk,
    input wire in_valid,
    input wire signed [7:0] pT,  // fixed<8,4>
    input wire [5:0] clk_2,  // ufixed<6,6>
    input wire [14:0] word,  // fixed<5,2> x 3
    output wire out_valid,
    output wire signed [9:0] out,  // fixed<10,5>
    output wire [6:0] bits,  // ufixed<7,7>
    output wire [35:0] begin_  // fixed<9,5> x 4
);
    // verilator lint_off UNUSEDSIGNAL

    // input registers
    reg signed [7:0] v0;
    reg [5:0] v1;
    reg signed [4:0] v2_0;
    reg signed [4:0] v2_1;
    reg signed [4:0] v2_2;
    always @(posedge clk) begin
        v0 <= pT;
        v1 <= clk_2;
        v2_0 <= word[4:0];
        v2_1 <= word[9:5];
        v2_2 <= word[14:10];
    end

    // stage 0
    wire signed [11:0] v8 = {2'd0, v1, 4'd0} - {{4{v0[7]}}, v0};  // sub fixed<12,8>
    wire [0:0] v12 = $signed(v0) < $signed({{2{v2_1[4]}}, v2_1, 1'd0});  // compare ufixed<1,1>

    // pipeline registers
    reg signed [7:0] v0_d1;
    reg signed [4:0] v2_0_d1;
    reg signed [4:0] v2_2_d1;
    reg signed [11:0] v8_d1;
    reg [0:0] v12_d1;
    always @(posedge clk) begin
        v0_d1 <= v0;
        v2_0_d1 <= v2_0;
        v2_2_d1 <= v2_2;
        v8_d1 <= v8;
        v12_d1 <= v12;
    end

    // stage 1
    wire signed [8:0] v13 = -{v0_d1[7], v0_d1};  // neg fixed<9,5>

    // pipeline registers
    reg signed [7:0] v0_d2;
    reg signed [4:0] v2_0_d2;
    reg signed [4:0] v2_2_d2;
    reg signed [11:0] v8_d2;
    reg [0:0] v12_d2;
    reg signed [8:0] v13_d1;
    always @(posedge clk) begin
        v0_d2 <= v0_d1;
        v2_0_d2 <= v2_0_d1;
        v2_2_d2 <= v2_2_d1;
        v8_d2 <= v8_d1;
        v12_d2 <= v12_d1;
        v13_d1 <= v13;
    end

    // stage 2
    wire signed [8:0] v7 = {v0_d2[7], v0_d2} + 9'hc;  // add fixed<9,5>
    wire [4:0] v14 = v2_0_d2[4] ? -v2_0_d2 : v2_0_d2;  // abs ufixed<5,2>
    wire [3:0] v18 = v2_2_d2[4] ? 4'd0 : v2_2_d2[3:0];  // relu ufixed<4,1>

    // pipeline registers
    reg signed [7:0] v0_d3;
    reg signed [8:0] v7_d1;
    reg signed [11:0] v8_d3;
    reg [0:0] v12_d3;
    reg signed [8:0] v13_d2;
    reg [4:0] v14_d1;
    reg [3:0] v18_d1;
    always @(posedge clk) begin
        v0_d3 <= v0_d2;
        v7_d1 <= v7;
        v8_d3 <= v8_d2;
        v12_d3 <= v12_d2;
        v13_d2 <= v13_d1;
        v14_d1 <= v14;
        v18_d1 <= v18;
    end

    // stage 3

    // pipeline registers
    reg signed [7:0] v0_d4;
    reg signed [8:0] v7_d2;
    reg signed [11:0] v8_d4;
    reg [0:0] v12_d4;
    reg signed [8:0] v13_d3;
    reg [4:0] v14_d2;
    reg [3:0] v18_d2;
    always @(posedge clk) begin
        v0_d4 <= v0_d3;
        v7_d2 <= v7_d1;
        v8_d4 <= v8_d3;
        v12_d4 <= v12_d3;
        v13_d3 <= v13_d2;
        v14_d2 <= v14_d1;
        v18_d2 <= v18_d1;
    end

    // stage 4
    wire signed [20:0] v9 = $signed(v7_d2) * $signed(v8_d4);  // mul fixed<21,13>

    // pipeline registers
    reg signed [7:0] v0_d5;
    reg signed [20:0] v9_d1;
    reg [0:0] v12_d5;
    reg signed [8:0] v13_d4;
    reg [4:0] v14_d3;
    reg [3:0] v18_d3;
    always @(posedge clk) begin
        v0_d5 <= v0_d4;
        v9_d1 <= v9;
        v12_d5 <= v12_d4;
        v13_d4 <= v13_d3;
        v14_d3 <= v14_d2;
        v18_d3 <= v18_d2;
    end

    // stage 5
    wire signed [5:0] v10 = v9_d1[12:7];  // cast fixed<6,5>
    wire signed [3:0] v11;  // made up fixed<4,2>
    jet_tagger_table0 v11_table (.address(v10), .word(v11));
    wire signed [9:0] v16 = v12_d5 ? {v13_d4, 1'd0} : {5'd0, v14_d3};  // select fixed<10,5>
    wire [6:0] v20 = {v12_d5, v10};  // pack ufixed<7,7>

    // pipeline registers
    reg signed [7:0] v0_d6;
    reg signed [5:0] v10_d1;
    reg signed [3:0] v11_d1;
    reg signed [9:0] v16_d1;
    reg [3:0] v18_d4;
    reg [6:0] v20_d1;
    always @(posedge clk) begin
        v0_d6 <= v0_d5;
        v10_d1 <= v10;
        v11_d1 <= v11;
        v16_d1 <= v16;
        v18_d4 <= v18_d3;
        v20_d1 <= v20;
    end

    // stage 6
    wire signed [9:0] v17 = ($signed(v16_d1) > $signed({{3{v11_d1[3]}}, v11_d1, 3'd0})) ? v16_d1 : {{3{v11_d1[3]}}, v11_d1, 3'd0};  // max fixed<10,5>
    wire signed [9:0] v19 = ($signed(v17) < $signed({4'd0, v18_d4, 2'd0})) ? v17 : {4'd0, v18_d4, 2'd0};  // min fixed<10,5>

    // pipeline registers
    reg signed [7:0] v0_d7;
    reg signed [5:0] v10_d2;
    reg signed [3:0] v11_d2;
    reg signed [9:0] v19_d1;
    reg [6:0] v20_d2;
    always @(posedge clk) begin
        v0_d7 <= v0_d6;
        v10_d2 <= v10_d1;
        v11_d2 <= v11_d1;
        v19_d1 <= v19;
        v20_d2 <= v20_d1;
    end

    // stage 7

    // pipeline registers
    reg signed [7:0] v0_d8;
    reg signed [5:0] v10_d3;
    reg signed [3:0] v11_d3;
    reg signed [9:0] v19_d2;
    reg [6:0] v20_d3;
    always @(posedge clk) begin
        v0_d8 <= v0_d7;
        v10_d3 <= v10_d2;
        v11_d3 <= v11_d2;
        v19_d2 <= v19_d1;
        v20_d3 <= v20_d2;
    end

    // stage 8

    // output registers
    reg signed [7:0] v0_d9;
    reg signed [5:0] v10_d4;
    reg signed [3:0] v11_d4;
    reg signed [9:0] v19_d3;
    reg [6:0] v20_d4;
    always @(posedge clk) begin
        v0_d9 <= v0_d8;
        v10_d4 <= v10_d3;
        v11_d4 <= v11_d3;
        v19_d3 <= v19_d2;
        v20_d4 <= v20_d3;
    end

    reg [9:0] valid;
    initial valid = 10'd0;
    always @(posedge clk) valid <= {valid[8:0], in_valid};
    assign out_valid = valid[9];

    assign out = v19_d3;
    assign bits = v20_d4;
    assign begin_ = {9'hc, {v10_d4, 3'd0}, {{3{v11_d4[3]}}, v11_d4, 2'd0}, {v0_d9[7], v0_d9}};
endmodule

`default_nettype wire
